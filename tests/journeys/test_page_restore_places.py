"""Restores from the browser to hosts that offer more: VMs that run at once, and places of one's choice."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer, start_server
from tests.support.boots import SECTOR, boot_sector
from tests.support.browser import Visitor, check, visitor
from tests.support.disks import MIB
from tests.support.labs.hyperv.lab import PASSWORD, USERNAME, HyperVLab
from tests.support.labs.qemu import QemuLab
from tests.support.live import back_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

_DISK = boot_sector() + random.Random(7).randbytes(48 * MIB - SECTOR)


class _Site:
    """A server with the VM ``guest`` of QEMU and ``web`` of an emulated Hyper-V, each with a restore point."""

    def __init__(self, folder: Path, qemu: QemuLab, hyperv: HyperVLab, server: DemoServer) -> None:
        self.qemu, self.hyperv, self.server = qemu, hyperv, server
        with connect(server.connection) as client:
            plain = folder / "plain"
            plain.mkdir()
            client.post("/hosts", {"name": "plain", "kind": "image-folder", "address": str(plain)})
            vms = [self._host(client, "machines", qemu, "guest", "disk0", _DISK)]
            vms.append(
                self._host(client, "hv1", hyperv, "web", "scsi-0-0", bytes(MIB) + b"web" * 1000 + bytes(72))
            )
            kept = client.post("/repositories", {"name": "main", "url": (folder / "vault").as_uri()})
            job = {"name": "nightly", "repository_id": kept["id"], "vms": vms}
            back_up(client, client.post("/jobs", job))
            self.points = {
                each["vm_name"]: f"/points/{each['id']}" for each in client.items("/restore-points")
            }

    def _host(
        self, client: Client, name: str, lab: QemuLab | HyperVLab, vm: str, key: str, content: bytes
    ) -> dict[str, Any]:
        ref = lab.add_vm(vm, {key: content.ljust(-len(content) // MIB * -MIB, b"\0")})
        asked = {"name": name, "kind": lab.kind, "address": lab.address}
        if lab.login is not None:
            asked |= {"username": USERNAME, "password": PASSWORD, "thumbprint": lab.login.thumbprint}
        return {"host_id": client.post("/hosts", asked)["id"], "vm_ref": ref}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    folder = tmp_path_factory.mktemp("places")
    qemu = QemuLab(folder)
    with closing(qemu), closing(HyperVLab(folder)) as hyperv:
        server = start_server(folder / "data", folder / "log")
        try:
            yield _Site(folder, qemu, hyperv, server)
        finally:
            server.stop()


@pytest.fixture
def seen(browser: Browser, site: _Site) -> Iterator[Visitor]:
    """The administrator, logged on; the page must not have complained by the end, but for refusals."""
    with visitor(browser, site.server) as each:
        each.log_on()
        yield each
        assert [told for told in each.complaints if "status of 4" not in told] == []


def test_vm_runs_at_once_and_the_page_tells_the_stages(seen: Visitor, site: _Site) -> None:
    page = seen.page
    seen.open(site.points["guest"])
    page.get_by_label("Name").fill("now")
    page.get_by_label("Power it on afterwards").check()
    page.get_by_label("Run it at once").check()
    expect(page.get_by_label("Power it on afterwards")).to_be_hidden()
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator("#plan .chip")).to_contain_text("Nothing is in the way", timeout=20_000)
    expect(page.locator("main")).to_contain_text("the VM needs this server and the repository")
    page.get_by_role("button", name="Run it now").click()
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    expect(page.locator("#state .stages [aria-current]")).to_contain_text("Moved")
    expect(page.locator("#state")).to_contain_text("runs from disks of its own")
    expect(page.locator("#disks")).not_to_contain_text("Verified")
    check(seen)
    assert site.qemu.runs("now")
    site.qemu.stop("now")
    content = site.qemu.contents("now")["disk0"]
    assert content[2 * SECTOR :] == _DISK[2 * SECTOR :]


def test_vm_is_placed_where_the_form_says(seen: Visitor, site: _Site) -> None:
    page = seen.page
    site.hyperv.windows.local(r"C:\Other").mkdir()
    site.hyperv.windows.switches.append("Internal")
    seen.open(site.points["web"])
    page.get_by_label("Name").fill("placed")
    page.get_by_label("Storage").fill(r"C:\Elsewhere")
    page.get_by_label("Network in place of External").fill("Internal")
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator("#plan .bad").first).to_be_visible(timeout=20_000)
    expect(page.locator("#plan")).to_contain_text("no folder 'C:\\\\Elsewhere'")
    page.get_by_role("link", name="Change what is asked for").click()
    expect(page.get_by_label("Network in place of External")).to_have_value("Internal")
    page.get_by_label("Storage").fill(r"C:\Other")
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator("#plan .chip")).to_contain_text("Nothing is in the way", timeout=20_000)
    page.get_by_role("button", name="Restore now").click()
    expect(page.locator("#state .chip")).to_contain_text("Success", timeout=60_000)
    made = next(vm for vm in site.hyperv.windows.vms if vm.name == "placed")
    assert [nic.switch for nic in made.nics] == ["Internal"]
    assert all(drive.path.startswith("C:\\Other\\") for drive in made.drives)
    [original] = [vm for vm in site.hyperv.windows.vms if vm.name == "web"]
    assert site.hyperv.contents(made.id) == site.hyperv.contents(original.id)


def test_what_a_host_does_not_offer_is_not_shown_and_is_refused_beside_its_field(
    seen: Visitor, site: _Site
) -> None:
    page = seen.page
    seen.open(site.points["guest"])
    at_once, storage = page.get_by_label("Run it at once"), page.get_by_label("Storage")
    expect(at_once).to_be_visible()
    expect(storage).to_be_hidden()
    page.get_by_label("Host").select_option("hv1")
    expect(at_once).to_be_hidden()
    storage.fill(r"C:\Other")
    page.get_by_label("Host").select_option("plain")
    expect(storage).to_be_hidden()
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator(".field:has(#f-storage) [role=alert]")).to_contain_text(
        "The host plain offers no choice of storage"
    )
    expect(storage).to_have_value(r"C:\Other")
    expect(storage).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Host")).to_have_value(re.compile("."))
    check(seen)
    storage.fill("")
    page.get_by_role("button", name="Restore…").click()
    expect(page.locator("#plan .chip")).to_be_visible(timeout=20_000)
    seen.open(f"{site.points['guest']}/restore?how=beside&host=&instant=yes&storage=x")
    expect(page.locator("#e-storage")).to_contain_text("machines offers no choice")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_forms_are_accessible_and_fit_a_narrow_window(browser: Browser, site: _Site, dark: bool) -> None:
    with visitor(browser, site.server, width=360, height=740, dark=dark) as seen:
        seen.log_on()
        for vm, asked in [
            ("guest", "instant=yes"),
            ("web", "storage=no+such&from=External&network=Internal"),
        ]:
            for path in ("", "/restore"):
                seen.open(f"{site.points[vm]}{path}?how=beside&name=it&{asked}")
                check(seen)
        assert seen.complaints == []
