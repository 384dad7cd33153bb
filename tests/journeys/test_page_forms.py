"""What an administrator sets up in the browser, from a server without anything to a drill, and what forms keep to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer, start_server
from tests.support.browser import Visitor, check, visitor
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

_PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """One of each that there is a form of, all called ``old``; beside it two VMs in a folder, and an empty folder."""
    folder = tmp_path_factory.mktemp("forms")
    for name in ("images", "sandbox", "old-images", "old-sandbox"):
        (folder / name).mkdir()
    for name in ("images/web", "images/db", "old-images/old"):
        path = folder / name
        path.with_suffix(".raw").write_bytes(os.urandom(1 << 18))
        text = f'name = "{path.name}"\n[[disk]]\nkey = "disk0"\nfile = "{path.name}.raw"\n'
        path.with_suffix(".vm.toml").write_text(text)
    running = start_server(folder / "data", folder / "log")
    try:
        with connect(running.connection) as client:
            _set_up(client, folder)
        yield running
    finally:
        running.stop()


def _set_up(client: Client, folder: Path) -> None:
    def host(name: str, address: str) -> str:
        asked = {"name": name, "kind": "image-folder", "address": str(folder / address)}
        return str(client.post("/hosts", asked)["id"])

    host_id, sandbox = host("old", "old-images"), host("old sandbox", "old-sandbox")
    kept = client.post("/repositories", {"name": "old", "url": (folder / "old-vault").as_uri()})
    [vm] = client.items(f"/hosts/{host_id}/vms")
    vms = [{"host_id": host_id, "vm_ref": vm["ref"]}]
    client.post("/jobs", {"name": "old", "repository_id": kept["id"], "vms": vms})
    plan = {"name": "old", "sandbox_host_id": sandbox, "objective_seconds": 900, "percent": 10}
    client.post("/drill-plans", plan)


@pytest.fixture
def seen(browser: Browser, server: DemoServer) -> Iterator[Visitor]:
    """The administrator, logged on; the page must not have complained by the end, but for refusals."""
    with visitor(browser, server) as each:
        each.log_on()
        yield each
        assert [told for told in each.complaints if "status of 4" not in told] == []


def _add_host(seen: Visitor, name: str, address: Path) -> None:
    seen.open("/hosts")
    seen.page.get_by_label("Kind").select_option("image-folder")
    seen.page.get_by_role("button", name="Add a host of this kind").click()
    seen.page.get_by_label("Name").fill(name)
    seen.page.get_by_label("Address").fill(str(address))
    seen.page.get_by_role("button", name="Add", exact=True).click()


def _below(server: DemoServer, name: str) -> Path:
    return server.folder.path.parent / name


def test_all_is_set_up_in_the_browser_and_works(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    _add_host(seen, "lab", _below(server, "images"))
    expect(page.get_by_role("status").first).to_contain_text("The host was added")
    expect(page.get_by_text("web", exact=False).first).to_be_visible()
    _add_host(seen, "sandbox", _below(server, "sandbox"))

    page.get_by_role("link", name="Repositories").click()
    page.get_by_role("link", name="Add a repository").click()
    page.get_by_label("Name").fill("local")
    page.get_by_label("Address").fill(str(_below(server, "vault")))
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("The passphrase again").fill(_PASSPHRASE)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="local")).to_be_visible()

    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("link", name="Add a job").click()
    page.get_by_label("Name").fill("nightly")
    page.get_by_label("Repository").select_option(label="local")
    page.get_by_label(re.compile(r"^\s*web\b")).check()
    page.get_by_label("Daily", exact=True).check()
    page.get_by_label("Daily at").fill("23:30")
    page.get_by_label("Sunday", exact=True).uncheck()
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_label("The newest of each VM").check()
    page.get_by_label("Restore points", exact=True).fill("7")
    page.get_by_role("button", name="Add the job").click()
    expect(page.get_by_text("Mon-Sat at 23:30, Europe/Berlin")).to_be_visible()
    expect(page.get_by_text("keeps 7 restore points")).to_be_visible()
    page.get_by_role("button", name="Start now").click()
    page.wait_for_url("**/job-sessions/*")
    with connect(server.connection) as client:
        wait_until(lambda: client.items("/job-sessions")[0]["state"] == "Stopped", timeout=60)
        assert client.items("/job-sessions")[0]["result"] == "Success"

    page.get_by_role("link", name="Drills", exact=True).click()
    page.get_by_role("link", name="Add a plan").click()
    page.get_by_label("Name").fill("weekly")
    page.get_by_label("Sandbox").select_option(label="sandbox")
    page.get_by_label("These", exact=True).check()
    page.get_by_label(re.compile(r"^\s*web\b")).check()
    page.get_by_label("All file systems are readable").uncheck()
    page.get_by_role("button", name="Add the plan").click()
    page.get_by_role("button", name="Run weekly").click()
    page.wait_for_url("**/drills/runs/*")
    with connect(server.connection) as client:
        wait_until(lambda: client.items("/drill-runs")[0]["state"] == "Stopped", timeout=60)
        assert client.items("/drill-runs")[0]["result"] == "Success"
    _change_it_all(seen, server)


def _change_it_all(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    seen.open("/jobs")
    page.get_by_role("link", name="nightly").click()
    page.get_by_role("link", name="Change").click()
    expect(page.get_by_label("Daily at")).to_have_value("23:30")
    expect(page.get_by_label("Sunday", exact=True)).not_to_be_checked()
    page.get_by_label(re.compile(r"^\s*web\b")).uncheck()
    page.get_by_label(re.compile(r"^\s*db\b")).check()
    page.get_by_role("button", name="Set the VMs").click()
    expect(page.get_by_role("status").first).to_contain_text("The VMs were changed")
    page.get_by_label("Monthly", exact=True).check()
    page.get_by_label("On", exact=True).fill("last sunday")
    page.get_by_label("Runs may go on").fill("mon-fri 22-6\nsat 8-18")
    page.get_by_role("button", name="Set the schedule").click()
    expect(page.get_by_label("Runs may go on")).to_have_value(re.compile("mon-fri 22-24"))
    page.get_by_label("Those of the last days").check()
    page.get_by_label("Days", exact=True).fill("30")
    page.get_by_label("Weeks with one point each").fill("4")
    page.get_by_role("button", name="Set the retention").click()
    page.get_by_label("Description").fill("all of it")
    page.get_by_role("button", name="Change the name and the description").click()
    expect(page.get_by_role("status").first).to_contain_text("The name and the description were changed")
    with connect(server.connection) as client:
        job = client.named("/jobs", "nightly")
        assert [vm["vm_name"] for vm in job["vms"]] == ["db"]
        assert job["description"] == "all of it"
        assert (job["schedule"]["monthly"]["week"], job["schedule"]["monthly"]["weekday"]) == (
            "Last",
            "Sunday",
        )
        assert job["schedule"]["window"]["Saturday"] == [*range(6), *range(8, 18)]
        assert (job["retention"]["days"], job["retention"]["weekly"]["weeks"]) == (30, 4)
    seen.open("/drills")
    page.get_by_role("link", name="Change weekly").click()
    expect(page.get_by_label("These", exact=True)).to_be_checked()
    page.get_by_label("A VM is to be recovered within").fill("2h")
    page.get_by_label("Boots until this is on the serial console").fill("login:")
    page.get_by_role("button", name="Change the plan").click()
    with connect(server.connection) as client:
        plan = client.named("/drill-plans", "weekly")
        assert (plan["objective_seconds"], plan["checks"]["boot"]["marker"]) == (7200, "login:")
        assert [vm["vm_ref"] for vm in plan["vms"]]
    seen.open("/hosts")
    page.get_by_role("link", name="sandbox", exact=True).click()
    page.get_by_label("Name").fill("other")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("heading", name="other")).to_be_visible()
    seen.open("/repositories")
    page.get_by_role("link", name="Change local").click()
    page.get_by_label("Passphrase", exact=True).fill("a second one")
    page.get_by_label("The passphrase again").fill("a second one")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("The passphrase was added")
    with connect(server.connection) as client:
        [point] = client.items("/restore-points")
    seen.open(f"/points/{point['id']}")
    page.locator("#remove summary").click()
    page.locator("#remove-yes").click()
    expect(page.get_by_role("status").first).to_contain_text("The restore point was removed")
    with connect(server.connection) as client:
        assert client.items("/restore-points") == []


def test_refused_form_keeps_what_was_typed_but_secrets(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    _add_host(seen, "nowhere", _below(server, "nothing"))
    expect(page.get_by_role("alert")).to_contain_text("nothing")
    expect(page.get_by_label("Name")).to_have_value("nowhere")
    expect(page.get_by_label("Address")).to_have_value(str(_below(server, "nothing")))
    seen.open("/repositories/new")
    page.get_by_label("Name").fill("other")
    page.get_by_label("Address").fill("/srv/other")
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("The passphrase again").fill("another")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The two passphrases are not the same")
    expect(page.get_by_label("Address")).to_have_value("/srv/other")
    assert _PASSPHRASE not in page.content()
    _job_is_refused(page, seen)


def _job_is_refused(page: Page, seen: Visitor) -> None:
    seen.open("/jobs/new")
    page.get_by_label("Name").fill("odd")
    page.get_by_label("Repository").select_option(label="old")
    page.get_by_label("Several times a day").check()
    page.get_by_label("Every", exact=True).fill("now and then")
    page.get_by_role("button", name="Add the job").click()
    expect(page.get_by_role("alert")).to_contain_text("'now and then' is no period")
    expect(page.get_by_label("Name")).to_have_value("odd")
    expect(page.get_by_label("Every", exact=True)).to_have_value("now and then")
    page.get_by_label("Every", exact=True).fill("4h")
    page.get_by_role("button", name="Add the job").click()
    expect(page.get_by_role("alert")).to_contain_text("A job needs at least one VM")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_forms_are_accessible_and_fit_a_narrow_window(
    browser: Browser, server: DemoServer, dark: bool
) -> None:
    with visitor(browser, server, width=360, height=740, dark=dark) as seen:
        seen.log_on()
        with connect(server.connection) as client:
            ids = {
                path: client.named(path, "old")["id"]
                for path in ("/hosts", "/jobs", "/repositories", "/drill-plans")
            }
        paths = ["/hosts", "/hosts/new?kind=image-folder", f"/hosts/{ids['/hosts']}"]
        paths += ["/repositories/new", f"/repositories/{ids['/repositories']}"]
        paths += [
            "/jobs/new",
            f"/jobs/{ids['/jobs']}/edit",
            "/drills/new",
            f"/drills/{ids['/drill-plans']}/edit",
        ]
        for path in paths:
            seen.open(path)
            check(seen)
            for way in seen.page.locator(".way input[type=radio]").all():
                way.check()
                assert seen.overflow <= 0, seen.page.url
            check(seen)
        assert seen.complaints == []


def test_host_is_added_with_the_keyboard_alone(seen: Visitor, server: DemoServer) -> None:
    page = seen.page
    (_below(server, "third")).mkdir()
    seen.open("/hosts/new?kind=image-folder")
    page.get_by_label("Name").focus()
    page.keyboard.type("third")
    page.keyboard.press("Tab")
    page.keyboard.type(str(_below(server, "third")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="third")).to_be_visible()
    page.get_by_text("Remove this host…").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/hosts?done=removed")
