"""The page in a browser, against a running server with real VMs: what people do there, and what it keeps to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from restorium.catalog.database import Database
from restorium.catalog.tables import restore_samples
from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer, start_server
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.sessions import RestorePhase
from tests.support.browser import Visitor, check, visitor
from tests.support.live import back_up, lived_in
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

_MIB = 1 << 20
_HOSTILE = '<img src=x onerror="document.title=1">'
_NOTE = b"what is in the file\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """The VMs ``web``, with files in it, and one whose name is no good; backed up once; one drill."""
    folder = tmp_path_factory.mktemp("page")
    images, tree = folder / "images", folder / "tree"
    images.mkdir()
    tree.mkdir()
    (tree / "note.txt").write_bytes(_NOTE)
    (tree / "large.bin").write_bytes(os.urandom(96 * _MIB))
    disk = images / "web.raw"
    with disk.open("wb") as file:
        file.truncate(128 * _MIB)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-d", tree, disk], check=True)
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    (images / "bad.raw").write_bytes(os.urandom(_MIB))
    (images / "bad.vm.toml").write_text(f'name = \'{_HOSTILE}\'\n[[disk]]\nkey = "disk0"\nfile = "bad.raw"\n')
    running = start_server(folder / "data", folder / "log")
    try:
        with connect(running.connection) as client:
            _set_up(client, images, folder / "vault")
            _drill(client, folder / "sandbox")
        yield running
    finally:
        running.stop()


def _set_up(client: Client, images: Path, vault: Path) -> None:
    host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(images)})
    kept = client.post("/repositories", {"name": "local", "url": vault.as_uri(), "capacity_bytes": 10**9})
    vms = [
        {"host_id": host["id"], "vm_ref": each["ref"]} for each in client.items(f"/hosts/{host['id']}/vms")
    ]
    back_up(client, client.post("/jobs", {"name": "nightly", "repository_id": kept["id"], "vms": vms}))
    client.post(
        "/accounts", {"name": "watcher", "password": "a password", "roles": ["Exchange Restore Operator"]}
    )


def _drill(client: Client, sandbox: Path) -> None:
    """The plan ``weekly``, which has run once."""
    sandbox.mkdir()
    host = client.post("/hosts", {"name": "sandbox", "kind": "image-folder", "address": str(sandbox)})
    point = client.items("/restore-points", vm=_HOSTILE)[0]
    vm = {"host_id": point["host_id"], "vm_ref": point["vm_ref"]}
    plan = {"name": "weekly", "sandbox_host_id": host["id"], "objective_seconds": 900, "vms": [vm]}
    plan_id = client.post("/drill-plans", plan)["id"]
    _wait_for_drill(client, client.post(f"/drill-plans/{plan_id}/run")["id"])


def _wait_for_drill(client: Client, run_id: str) -> None:
    wait_until(lambda: client.get(f"/drill-runs/{run_id}")["state"] == "Stopped", timeout=60)


@pytest.fixture
def seen(browser: Browser, server: DemoServer) -> Iterator[Visitor]:
    """The administrator, logged on; the page must not have complained by the end."""
    with visitor(browser, server) as each:
        each.log_on()
        yield each
        assert each.complaints == []


def _point(server: DemoServer, vm: str = "web") -> str:
    with connect(server.connection) as client:
        found: list[dict[str, Any]] = client.items("/restore-points", vm=vm)
    return f"/points/{found[0]['id']}"


def _begin_restore(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator("#plan .chip")).to_contain_text("Nothing is in the way", timeout=20_000)
    page.get_by_role("button", name="Restore now").click()
    page.wait_for_url("**/sessions/*")


def test_vm_is_restored_and_watched_to_its_end_without_reload(seen: Visitor) -> None:
    page = seen.page
    page.get_by_role("link", name="VMs", exact=True).click()
    page.get_by_role("link", name="web", exact=True).click()
    page.locator("tbody a").first.click()
    loads: list[str] = []
    _begin_restore(page, "web-copy")
    page.on("load", lambda _: loads.append(page.url))
    expect(page.locator("#live")).to_have_text("Live", timeout=20_000)
    expect(page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    assert loads == []
    expect(page.locator("#announcement")).to_have_text("Success")
    expect(page.locator("#evidence .chip")).to_contain_text("Signature verified")
    expect(page.locator("#disks progress").first).to_have_attribute(
        "value", page.locator("#disks progress").first.get_attribute("max") or ""
    )
    with page.expect_download() as record:
        page.get_by_role("link", name="Download the record").click()
    assert b"merkle_root" in record.value.path().read_bytes()


def test_file_is_found_and_downloaded(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    seen.open(_point(server))
    page.get_by_role("button", name="Browse the files").click()
    page.locator("tbody a").first.click()
    with page.expect_download() as note:
        page.get_by_role("link", name="Download note.txt").click()
    assert note.value.suggested_filename == "note.txt"
    assert note.value.path().read_bytes() == _NOTE
    page.get_by_role("button", name="Close").click()
    page.wait_for_url("**/points/*")
    page.go_back()
    page.reload()
    expect(page.get_by_role("button", name="Browse the files")).to_be_visible()
    seen.complaints[:] = [each for each in seen.complaints if "404" not in each]  # of the closed folder


def test_restore_is_cancelled(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    seen.open(_point(server))
    _begin_restore(page, "web-cancelled")
    page.get_by_text("Cancel this restore…").click()
    page.locator("#cancel-yes").click()
    expect(page.locator("#state .chip")).to_contain_text("Failed", timeout=30_000)
    expect(page.locator("#reason")).to_contain_text("cancelled")
    assert not list(server.folder.path.parent.glob("images/*cancelled*"))


def test_dry_run_tells_what_is_in_the_way_before_anything_is_restored(
    seen: Visitor, server: DemoServer
) -> None:
    page = seen.page
    with connect(server.connection) as client:
        before = client.items("/restore-sessions")
        seen.open(_point(server, _HOSTILE))
        page.get_by_label("Name").fill("no/name")
        page.get_by_role("button", name="Restore…").click()
        expect(page.locator("#plan .bad").first).to_be_visible(timeout=20_000)
        expect(page.locator("#live")).to_have_text("")
        assert [each["id"] for each in client.items("/restore-sessions")] == [each["id"] for each in before]


def test_vm_is_restored_to_another_host(seen: Visitor, server: DemoServer) -> None:
    seen.open(_point(server, _HOSTILE))
    seen.page.get_by_label("Host").select_option("sandbox")
    _begin_restore(seen.page, "moved")
    expect(seen.page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    assert (server.folder.path.parent / "sandbox" / "moved.vm.toml").exists()


def test_restores_are_filtered_paged_and_taken_away(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    with connect(server.connection) as client:
        point = client.items("/restore-points", vm=_HOSTILE)[0]["id"]
        for number in range(3):
            asked = {"restore_point_id": point, "keep_original": True, "new_name": f"listed-{number}"}
            session = client.post("/restores", asked)["id"]
            client.post(f"/restore-sessions/{session}/cancel")
    seen.open("/sessions?limit=2&vm=img")
    first = page.locator("tbody a").first.get_attribute("href")
    page.get_by_role("link", name="Older", exact=True).click()
    expect(page.locator(f"tbody a[href='{first}']")).to_have_count(0)
    assert page.locator("tbody a").count() > 0
    page.get_by_role("textbox", name="VM").fill("no such VM")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("main")).to_contain_text("No restore is like that")
    page.get_by_role("textbox", name="VM").fill("IMG")
    page.get_by_label("State").select_option("Stopped")
    page.get_by_label("Since").fill("2000-01-01")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody")).to_contain_text(_HOSTILE)
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert table.value.suggested_filename == "restores.csv"
    lines = table.value.path().read_text().splitlines()
    assert lines[0].startswith("id,name,")
    assert all("Stopped" in line for line in lines[1:])


def test_job_is_started(seen: Visitor) -> None:
    seen.open("/jobs")
    seen.page.get_by_role("button", name="Start nightly").click()
    seen.page.wait_for_url("**/job-sessions/*")
    expect(seen.page.get_by_role("heading", level=1)).to_contain_text("nightly@")
    loads: list[str] = []
    seen.page.on("load", lambda _: loads.append(seen.page.url))
    expect(seen.page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    expect(seen.page.locator("#vms .chip").first).to_contain_text("Success")
    expect(seen.page.locator("#live")).to_have_text("")
    assert loads == []


def test_drill_is_run_and_its_checks_trend_and_report_are_shown(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    page.get_by_role("link", name="Drills", exact=True).click()
    page.get_by_role("button", name="Run weekly").click()
    page.wait_for_url("**/drills/runs/*")
    loads: list[str] = []
    page.on("load", lambda _: loads.append(page.url))
    expect(page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    expect(page.locator("#announcement")).to_have_text("Success")
    assert loads == []
    expect(page.locator("main")).to_contain_text("Digest")
    with page.expect_download() as report:
        page.get_by_role("link", name="Report for an auditor").click()
    assert b"weekly" in report.value.path().read_bytes()
    page.get_by_role("link", name="of its restore").click()
    expect(page.locator("#evidence .chip")).to_contain_text("Signature verified")
    seen.open("/drills")
    expect(page.get_by_role("img", name="The longest recovery of each run of weekly")).to_be_visible()


def test_chart_of_speed_grows_while_it_is_watched(seen: Visitor, server: DemoServer) -> None:
    with connect(server.connection) as client:
        point = client.items("/restore-points", vm=_HOSTILE)[0]["id"]
        asked = {"restore_point_id": point, "keep_original": True, "new_name": "charted"}
        session = client.post("/restores", asked)["id"]
        wait_until(lambda: client.get(f"/restore-sessions/{session}")["state"] == "Stopped", timeout=60)
    _measure(server, session, 1, 2, 3)
    seen.open(f"/sessions/{session}")
    line = seen.page.locator("#speed path.line")
    expect(line).to_be_visible()
    drawn = (line.get_attribute("d") or "").count("L")
    _measure(server, session, 4, 5)
    seen.page.reload()
    assert (line.get_attribute("d") or "").count("L") == drawn + 2


def _measure(server: DemoServer, session: str, *seconds: int) -> None:
    """As if the restore had been measured so many seconds from now, further on each time."""
    database, begun = Database.open(f"sqlite:///{server.folder.database}", SystemClock()), datetime.now(UTC)
    samples = [
        {
            "session_id": UUID(session),
            "at": begun + timedelta(seconds=each),
            "phase": RestorePhase.COPYING,
            "copied_bytes": (1 << 30) + each * each * _MIB,
            "verified_bytes": 1 << 30,
        }
        for each in seconds
    ]
    with closing(database), database.write() as connection:
        connection.execute(sa.insert(restore_samples), samples)


def test_lost_server_is_told_and_what_happened_meanwhile_is_caught_up(
    browser: Browser, tmp_path: Path
) -> None:
    with lived_in(tmp_path) as server, visitor(browser, server) as seen:
        seen.log_on()
        seen.open("/sessions")
        live = seen.page.locator("#live")
        expect(live).to_have_text("Live", timeout=20_000)
        server.stop()
        expect(live).to_have_text("Not live: connecting again", timeout=20_000)
        again = start_server(server.folder.path, server.log, port=urlsplit(server.url).port or 0)
        try:
            with connect(again.connection) as client:
                point = client.items("/restore-points")[0]["id"]
                asked = {"restore_point_id": point, "keep_original": True, "new_name": "meanwhile"}
                begun = client.post("/restores", asked)["id"]
                wait_until(lambda: client.get(f"/restore-sessions/{begun}")["state"] == "Stopped", timeout=60)
            expect(live).to_have_text("Live", timeout=20_000)
            expect(seen.page.locator(f"#s-{begun}")).to_contain_text("Success", timeout=20_000)
            other = seen.context.new_page()
            other.goto(server.url)
            other.get_by_role("button", name="Log off").click()
            expect(live).to_have_text("Not live: log on again", timeout=30_000)
        finally:
            again.stop()


def test_list_of_restores_shows_a_new_one_by_itself(seen: Visitor, server: DemoServer) -> None:
    seen.open("/sessions")
    expect(seen.page.locator("#live")).to_have_text("Live", timeout=20_000)
    with connect(server.connection) as client:
        point = client.items("/restore-points", vm="web")[0]
        asked = {"restore_point_id": point["id"], "keep_original": True, "new_name": "web-listed"}
        begun = client.post("/restores", asked)
    row = seen.page.locator(f"#s-{begun['id']}")
    expect(row).to_contain_text("Success", timeout=60_000)


def test_keyboard_alone_logs_on_and_restores(browser: Browser, server: DemoServer) -> None:
    with visitor(browser, server) as seen:
        page = seen.page
        seen.open(_point(server))
        page.wait_for_function(
            "document.activeElement.name === 'name'"
        )  # Chromium focuses after it has loaded
        page.keyboard.type("administrator")
        page.keyboard.press("Tab")
        page.keyboard.type(server.password)
        page.keyboard.press("Enter")
        page.wait_for_url("**/points/*")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        _tab_to(page, "name")
        page.keyboard.type("web-by-keys")
        page.keyboard.press("Enter")
        page.wait_for_url("**/restore?*")
        _tab_to(page, "Restore now")
        page.keyboard.press("Enter")
        page.wait_for_url("**/sessions/*")
        assert seen.complaints == []


def _tab_to(page: Page, wanted: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        reached = page.evaluate("document.activeElement.name || document.activeElement.textContent")
        if reached == wanted:
            return
    raise AssertionError(f"{wanted} is not reached")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_are_accessible_and_fit_a_narrow_window(
    browser: Browser, server: DemoServer, dark: bool
) -> None:
    with visitor(browser, server, width=360, height=740, dark=dark) as seen:
        seen.open("/log-on")
        check(seen)
        seen.log_on()
        with connect(server.connection) as client:
            session = client.items("/restore-sessions")[0]
            job = client.items("/jobs")[0]
            run = client.items("/job-sessions")[0]
            account = client.items("/accounts")[0]
            drill = client.items("/drill-runs")[0]
        point = _point(server)
        paths = ["/", "/sessions", f"/sessions/{session['id']}", "/vms", point, f"{point}/restore"]
        paths += ["/jobs", f"/jobs/{job['id']}", f"/job-sessions/{run['id']}", "/repositories"]
        paths += ["/drills", f"/drills/runs/{drill['id']}", "/accounts", f"/accounts/{account['id']}"]
        for path in paths:
            seen.open(path)
            check(seen)
        assert seen.complaints == []


def test_names_are_shown_as_they_are(seen: Visitor, server: DemoServer) -> None:
    seen.open("/vms")
    expect(seen.page.get_by_role("link", name=_HOSTILE)).to_be_visible()
    seen.open(_point(server, _HOSTILE))
    _begin_restore(seen.page, "bad-copy")
    expect(seen.page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    assert seen.page.locator("main img").count() == 0
    assert seen.page.title() != "1"


def test_account_without_roles_for_it_is_offered_nothing(browser: Browser, server: DemoServer) -> None:
    with visitor(browser, server) as seen:
        seen.log_on("watcher", "a password")
        expect(seen.page.get_by_role("link", name="Restores", exact=True)).to_be_visible()
        for name in ("VMs", "Jobs", "Repositories", "Accounts"):
            expect(seen.page.get_by_role("link", name=name, exact=True)).to_have_count(0)
        answer = seen.page.goto(f"{server.url}/accounts")
        assert answer is not None
        assert answer.status == 403
