"""A server that is killed in the middle of a restore, as the one who asked for the restore sees it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer
from restorium.cli.follow import follow_restore
from restorium.cli.output import Output
from tests.support.live import Starter
from tests.support.waiting import wait_until

_MIB = 1 << 20


def _ended(client: Client, path: str) -> dict[str, Any]:
    wait_until(lambda: client.get(path)["state"] == "Stopped", timeout=120)
    session: dict[str, Any] = client.get(path)
    return session


def _digest(disk: Path) -> str:
    with disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin(client: Client, folder: Path) -> str:
    """A VM that is backed up and whose restore has begun; gives the restore session's id."""
    (folder / "images").mkdir()
    source = random.Random(1)
    with (folder / "images" / "web.raw").open("wb") as disk:
        for _ in range(48):
            disk.write(source.randbytes(16 * _MIB))
    (folder / "images" / "web.vm.toml").write_text(
        'name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n'
    )
    host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(folder / "images")})
    repository = client.post("/repositories", {"name": "local", "url": (folder / "vault").as_uri()})
    vms = [{"host_id": host["id"], "vm_ref": "web"}]
    job = client.post("/jobs", {"name": "nightly", "repository_id": repository["id"], "vms": vms})
    run = client.post(f"/jobs/{job['id']}/start")
    assert _ended(client, f"/job-sessions/{run['id']}")["result"] == "Success"
    [point] = client.items("/restore-points")
    asked = {"restore_point_id": point["id"], "keep_original": True, "new_name": "web2"}
    return str(client.post("/restores", asked)["id"])


def _kill_while_copying(server: DemoServer, client: Client, session: str) -> None:
    def copying() -> bool:
        found = client.get(f"/restore-sessions/{session}")
        assert found["state"] != "Stopped", "the restore was over before it could be interrupted"
        return 0 < found["progress"] < 45

    wait_until(copying, timeout=60)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("clean", [False, True], ids=["killed", "stopped"])
def test_restore_goes_on_after_the_server_was_interrupted(
    tmp_path: Path, start: Starter, clean: bool
) -> None:
    server = start()
    with connect(server.connection) as client:
        session = _begin(client, tmp_path)
        if clean:
            server.stop()
        else:
            _kill_while_copying(server, client, session)
    server = start()
    with connect(server.connection) as client:
        found = _ended(client, f"/restore-sessions/{session}")
    server.stop()
    assert (found["result"], found["progress"], found["restored_ref"]) == ("Success", 100, "web2")
    assert _digest(tmp_path / "images" / "web2.raw") == _digest(tmp_path / "images" / "web.raw")
    assert [path.name for path in (tmp_path / "images").iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_commands_that_follow_go_on_when_the_server_is_back(start: Starter, tmp_path: Path) -> None:
    server = start()
    told = {**os.environ, "RESTORIUM_DATA": str(server.folder.path)}
    program = [sys.executable, "-m", "restorium", "sessions", "--follow", "--json"]
    everything = subprocess.Popen(program, env=told, stdout=subprocess.PIPE, text=True)
    try:
        with connect(server.connection) as client, ThreadPoolExecutor(1) as pool:
            session = _begin(client, tmp_path)
            one = pool.submit(follow_restore, client, Output(as_json=True), session)
            assert everything.stdout is not None
            assert json.loads(everything.stdout.readline())["id"] == session
            _kill_while_copying(server, client, session)
            again = start()
            last = one.result(timeout=120)
            assert (last["id"], last["result"]) == (session, "Success")
            while json.loads(everything.stdout.readline())["state"] != "Stopped":
                continue
            again.stop()
            assert not re.search(r"Cancel [1-9]", again.log.read_text()), "a follower held up the stop"
    finally:
        everything.kill()
        everything.wait()
