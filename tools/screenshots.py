"""Pictures of the page for docs/images, of a server with two VMs: ``python -m tools.screenshots``.

Needs Debian's Chromium. About a minute.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from restorium.cli.client import Client, connect
from restorium.cli.demo.machines import make_machine
from restorium.cli.demo.server import DemoServer, start_server
from tests.support.browser import chromium, visitor
from tests.support.live import back_up
from tests.support.waiting import wait_until

_IMAGES = Path(__file__).parent.parent / "docs" / "images"
_SOME_WAY = re.compile(r"\d\d+ %")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="restorium-screenshots-") as name:
        folder = Path(name)
        images = folder / "images"
        images.mkdir()
        machines = [make_machine(images, "web", "raw"), make_machine(images, "mail", "qcow2")]
        server = start_server(folder / "data", folder / "log")
        try:
            with connect(server.connection) as client:
                host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(images)})
                asked = {"name": "local", "url": (folder / "vault").as_uri(), "capacity_bytes": 4 * 10**9}
                kept = client.post("/repositories", asked)
                vms = [{"host_id": host["id"], "vm_ref": each.name} for each in machines]
                job = client.post("/jobs", {"name": "nightly", "repository_id": kept["id"], "vms": vms})
                back_up(client, job)
                machines[0].change()
                back_up(client, job)
                _drill(client, folder / "sandbox", vms)
            with chromium() as browser:
                _IMAGES.mkdir(exist_ok=True)
                _take(browser, server)
        finally:
            server.stop()


def _drill(client: Client, sandbox: Path, vms: list[dict[str, Any]]) -> None:
    """The plan ``weekly``, which has run three times."""
    sandbox.mkdir()
    host = client.post("/hosts", {"name": "sandbox", "kind": "image-folder", "address": str(sandbox)})
    plan = {"name": "weekly", "sandbox_host_id": host["id"], "objective_seconds": 900, "vms": vms}
    plan_id = client.post("/drill-plans", plan)["id"]
    for _ in range(3):
        run_id = client.post(f"/drill-plans/{plan_id}/run")["id"]
        wait_until(
            lambda run_id=run_id: client.get(f"/drill-runs/{run_id}")["state"] == "Stopped", timeout=120
        )


def _take(browser: Browser, server: DemoServer) -> None:
    with visitor(browser, server, height=800) as seen:
        page = seen.page
        seen.log_on()
        seen.open("/vms")
        page.get_by_role("link", name="web", exact=True).click()
        page.locator("tbody a").first.click()
        page.screenshot(path=_IMAGES / "point.png")
        page.get_by_label("Name").fill("web-copy")
        page.get_by_role("button", name="Restore…").click()
        page.locator("#plan .chip").wait_for(timeout=30_000)
        page.screenshot(path=_IMAGES / "restore.png")
        page.get_by_role("button", name="Restore now").click()
        expect(page.locator("#state .number")).to_have_text(_SOME_WAY, timeout=30_000)
        page.screenshot(path=_IMAGES / "session-live.png")
        page.locator("#state .chip.good").wait_for(timeout=60_000)
        page.locator("#evidence").scroll_into_view_if_needed()
        page.locator("#evidence").screenshot(path=_IMAGES / "evidence.png")
        address = page.url
        seen.open("/")
        page.screenshot(path=_IMAGES / "overview.png")
        seen.open("/sessions")
        page.screenshot(path=_IMAGES / "sessions.png")
        seen.open("/drills")
        page.screenshot(path=_IMAGES / "drills.png")
        seen.open("/jobs")
        page.get_by_role("link", name="nightly").click()
        page.get_by_role("link", name="Change").click()
        page.get_by_label("Daily", exact=True).check()
        page.get_by_label("The newest of each VM").check()
        page.screenshot(path=_IMAGES / "job-change.png")
    with visitor(browser, server, width=360, height=740, dark=True) as seen:
        seen.log_on()
        seen.page.goto(address)
        seen.page.screenshot(path=_IMAGES / "session-narrow-dark.png")


if __name__ == "__main__":
    main()
