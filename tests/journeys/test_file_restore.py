"""Files of a restore point from a running server: one that is killed meanwhile, and clients that leave."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer
from tests.support import guests
from tests.support.em import HEADER
from tests.support.live import Starter
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
_TEXT = b"kept in the backup\n" * 1000
_LARGE = 8 << 30


@dataclass
class Browser:
    """Somebody who is logged on, whose session outlives the server's process."""

    server: DemoServer
    token: str = ""

    def log_on(self) -> Browser:
        answer = self.request("POST", "/sessionMngr/?v=latest", auth=("administrator", self.server.password))
        self.token = answer.headers[HEADER]
        return self

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Accept": "application/json", **({HEADER: self.token} if self.token else {})}
        verify = ssl.create_default_context(cafile=str(self.server.folder.certificate))
        with httpx.Client(verify=verify, timeout=60) as http:
            return http.request(method, f"{self.server.url}/api{path}", headers=headers, **options)

    def followed(self, path: str) -> str:
        """The path of what the task of a POST leads to."""
        task = self.request("POST", path).json()
        done = self.request("GET", self.path(task["Href"])).json()
        assert done["Result"]["Success"], done
        return self.path(done["Links"][0]["Href"])

    def path(self, href: str) -> str:
        return href.removeprefix(f"{self.server.url}/api")

    def sessions(self) -> list[tuple[str, str]]:
        found = self.request("GET", "/restoreSessions?format=Entity").json()["RestoreSessions"]
        assert all(each["Name"].startswith("FLR_[web]@") for each in found)
        return [(each["State"], each["Result"]) for each in found]


def _backed_up(server: DemoServer, folder: Path) -> str:
    """A VM with a small and a large file, backed up; gives its restore point's id."""
    tree, images = folder / "tree", folder / "images"
    tree.mkdir()
    images.mkdir()
    (tree / "small.txt").write_bytes(_TEXT)
    with (tree / "large").open("wb") as file:
        file.truncate(_LARGE)
    guests.make("ext4", tree, images / "web.raw", 16)
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    with connect(server.connection) as client:
        host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(images)})
        repository = client.post("/repositories", {"name": "local", "url": (folder / "vault").as_uri()})
        vms = [{"host_id": host["id"], "vm_ref": "web"}]
        job = client.post("/jobs", {"name": "nightly", "repository_id": repository["id"], "vms": vms})
        run = client.post(f"/jobs/{job['id']}/start")
        _success(client, f"/job-sessions/{run['id']}")
        [point] = client.items("/restore-points")
    return str(point["id"])


def _success(client: Client, path: str) -> None:
    wait_until(lambda: client.get(path)["state"] == "Stopped", timeout=60)
    assert client.get(path)["result"] == "Success"


def test_mounts_and_browses_outlive_the_server(tmp_path: Path, start: Starter) -> None:
    server = start()
    point = _backed_up(server, tmp_path)
    browser = Browser(server).log_on()
    mount = browser.followed(f"/vmRestorePoints/{point}/mounts")
    browse = browser.followed(f"/catalog/vms/web/vmRestorePoints/{point}?action=browse").rstrip("/")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    browser.server = server = start()
    for place in (mount, browse):
        assert browser.request("GET", f"{place}/Volume$0:/small.txt?action=download").content == _TEXT
    assert browser.sessions() == [("Working", "None")] * 2
    assert browser.request("DELETE", mount).status_code == 204
    assert sorted(browser.sessions()) == [("Stopped", "Success"), ("Working", "None")]
    assert browser.request("DELETE", "/sessionMngr").status_code == 204
    assert Browser(server).log_on().sessions() == [("Stopped", "Success")] * 2
    server.stop()


def _leave(browser: Browser, path: str, after: int) -> None:
    """Ask for a file, read so many bytes of the answer, and hang up without a word."""
    at = urlsplit(browser.server.url)
    context = ssl.create_default_context(cafile=str(browser.server.folder.certificate))
    plain = socket.create_connection((at.hostname, at.port), timeout=60)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with context.wrap_socket(plain, server_hostname=at.hostname) as connection:
        asked = f"GET /api{path} HTTP/1.1\r\nHost: {at.netloc}\r\n{HEADER}: {browser.token}\r\n\r\n"
        connection.sendall(asked.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        left = after
        while left > 0:
            left -= len(connection.recv(65536))


def _threads(server: DemoServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def _wait_for_rest(server: DemoServer) -> None:
    """Until the process has used no processor for a while."""
    spent, since = -1, time.monotonic()

    def rests() -> bool:
        nonlocal spent, since
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        now = int(fields[11]) + int(fields[12])
        if now > spent + 1:
            spent, since = now, time.monotonic()
        return time.monotonic() - since > 0.5

    wait_until(rests, timeout=30)


def test_clients_that_leave_in_a_download_leave_nothing_behind(tmp_path: Path, start: Starter) -> None:
    server = start()
    browser = Browser(server).log_on()
    mount = browser.followed(f"/vmRestorePoints/{_backed_up(server, tmp_path)}/mounts")
    large = f"{mount}/Volume$0:/large?action=download"
    assert browser.request("HEAD", large).headers["Content-Length"] == str(_LARGE)
    _leave(browser, large, 1 << 20)
    before = _threads(server)
    for after in (0, 1, 1 << 16, 1 << 20, 1 << 24) * 2:
        _leave(browser, large, after)
    _wait_for_rest(server)
    assert _threads(server) < before + 5
    assert browser.request("GET", f"{mount}/Volume$0:/small.txt?action=download").content == _TEXT
    assert browser.sessions() == [("Working", "None")]
    assert browser.request("DELETE", mount).status_code == 204
    assert browser.sessions() == [("Stopped", "Success")]
    server.stop()
    log = server.log.read_text()
    assert "Traceback" not in log and '"level": "error"' not in log, log
