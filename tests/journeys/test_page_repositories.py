"""Looking after a repository in the browser: verifying, pruning, what was found, and what opens it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from restorium.cli.client import connect
from restorium.cli.demo.server import DemoServer, start_server
from restorium.vault import Key, Vault
from restorium.vocabulary.errors import WrongKey
from tests.support.browser import Visitor, check, visitor
from tests.support.disks import MIB
from tests.support.live import back_up, set_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

_FIRST, _SECOND = "correct horse battery", "another staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """A repository, ``local``, with a key of the server's own and two restore points of the VM web."""
    folder = tmp_path_factory.mktemp("repositories")
    images = folder / "images"
    images.mkdir()
    disk = images / "web.raw"
    disk.write_bytes(random.Random(1).randbytes(3 * MIB))
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    running = start_server(folder / "data", folder / "log")
    try:
        with connect(running.connection) as client:
            job = set_up(client, images, folder / "vault")
            back_up(client, job)
            disk.write_bytes(random.Random(2).randbytes(MIB) + disk.read_bytes()[MIB:])
            back_up(client, job)
        yield running
    finally:
        running.stop()


@pytest.fixture
def seen(browser: Browser, server: DemoServer) -> Iterator[Visitor]:
    """The administrator at the page of the repository; it must not have complained by the end, but for refusals."""
    with visitor(browser, server) as each:
        each.log_on()
        each.open("/repositories")
        each.page.get_by_role("link", name="local").click()
        expect(each.page.get_by_role("heading", name="local", level=1)).to_be_visible()
        yield each
        assert [told for told in each.complaints if "status of 4" not in told] == []


def _vault(server: DemoServer) -> Path:
    return server.folder.path.parent / "vault"


def _opens(server: DemoServer, passphrase: str, folder: Path) -> bool:
    try:
        Vault.open(_vault(server).as_uri(), Key.passphrase(passphrase), cache=folder / passphrase).close()
    except WrongKey:
        return False
    return True


def _type_twice(page: Page, first: str, again: str, passphrase: str) -> None:
    page.get_by_label(first, exact=True).fill(passphrase)
    page.get_by_label(again, exact=True).fill(passphrase)


def test_keys_are_added_rotated_and_removed(seen: Visitor, server: DemoServer, tmp_path: Path) -> None:
    page, keys = seen.page, seen.page.locator("#keys")
    expect(keys).to_contain_text("Nothing but this server's key opens this repository")
    expect(keys).to_contain_text("it cannot be removed")
    expect(keys.get_by_text("Remove key")).to_have_count(0)

    page.get_by_label("Passphrase", exact=True).fill(_FIRST)
    page.get_by_label("The passphrase again", exact=True).fill("something else")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#e-passphrase_again")).to_contain_text("The two passphrases are not the same")
    assert _FIRST not in page.content()
    _type_twice(page, "Passphrase", "The passphrase again", _FIRST)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("The passphrase was added")
    expect(keys).not_to_contain_text("Nothing but this server's key")
    assert _opens(server, _FIRST, tmp_path)

    _type_twice(page, "New passphrase of the server", "The new passphrase again", _SECOND)
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_role("status").first).to_contain_text("opens nothing any more")
    assert _opens(server, _SECOND, tmp_path)

    keys.get_by_text("Remove key").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("The key was removed")
    expect(keys.get_by_text("Remove key")).to_have_count(0)
    assert (_opens(server, _FIRST, tmp_path / "then"), _opens(server, _SECOND, tmp_path / "then")) == (
        False,
        True,
    )


def test_repository_is_pruned(seen: Visitor) -> None:
    seen.page.get_by_role("button", name="Prune now").click()
    expect(seen.page.locator("#work")).to_contain_text("0 B removed in 0 packs", timeout=20_000)
    expect(seen.page.locator("#work dl")).to_contain_text("removed 0 bytes")
    check(seen)


def test_what_a_verification_finds_is_shown_with_the_repository_and_the_restore_point(
    seen: Visitor, server: DemoServer
) -> None:
    page, work = seen.page, seen.page.locator("#work")
    page.get_by_role("button", name="Verify now").click()
    expect(work).to_contain_text("Nothing is wrong", timeout=20_000)
    expect(work).to_contain_text("nothing damaged")
    newest = max(_vault(server).glob("packs/*/*"), key=lambda pack: pack.stat().st_mtime_ns)
    content = bytearray(newest.read_bytes())
    content[100] ^= 1
    newest.chmod(0o600)
    newest.write_bytes(content)
    page.get_by_label("Read everything").check()
    page.get_by_role("button", name="Verify now").click()
    expect(work).to_contain_text("Damaged restore points", timeout=20_000)
    expect(work.locator(".chip.bad").first).to_contain_text("1 damaged")
    check(seen)
    work.get_by_role("link", name="web@").click()
    expect(page.locator("main .chip.bad")).to_contain_text("disk0")
    seen.open("/repositories")
    expect(page.locator("main .chip.bad")).to_contain_text("1 damaged")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_is_accessible_and_fits_a_narrow_window(
    browser: Browser, server: DemoServer, dark: bool
) -> None:
    with connect(server.connection) as client:
        path = f"/repositories/{client.named('/repositories', 'local')['id']}"
    with visitor(browser, server, width=360, height=740, dark=dark) as seen:
        seen.log_on()
        seen.open(path)
        for folded in seen.page.locator("summary").all():
            folded.click()
        check(seen)
        with seen.page.expect_navigation():  # an earlier verification is shown until then
            seen.page.get_by_role("button", name="Verify now").click()
        expect(seen.page.locator("#work")).to_contain_text("The last verification", timeout=20_000)
        check(seen)
        assert seen.complaints == []
