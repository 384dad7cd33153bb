"""A running server with a VM that has been backed up twice and restored once, for clients to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer, start_server
from tests.support.waiting import wait_until

_MIB = 1 << 20

Starter = Callable[[], DemoServer]
"""Starts a server on a test's data folder."""


@contextmanager
def lived_in(folder: Path) -> Iterator[DemoServer]:
    """The VM ``web``, the job ``nightly`` of two runs, and ``web2`` restored from the first, all successful."""
    images = folder / "images"
    images.mkdir(parents=True)
    disk = images / "web.raw"
    disk.write_bytes(os.urandom(2 * _MIB) + bytes(6 * _MIB))
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    server = start_server(folder / "data", folder / "log")
    try:
        with connect(server.connection) as client:
            host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(images)})
            repository = client.post(
                "/repositories",
                {"name": "local", "url": (folder / "vault").as_uri(), "capacity_bytes": 10**9},
            )
            vms = [{"host_id": host["id"], "vm_ref": "web"}]
            job = client.post("/jobs", {"name": "nightly", "repository_id": repository["id"], "vms": vms})
            for _ in range(2):
                _ended(client, "/job-sessions", client.post(f"/jobs/{job['id']}/start"))
            first = client.items("/restore-points")[-1]
            asked = {"restore_point_id": first["id"], "keep_original": True, "new_name": "web2"}
            _ended(client, "/restore-sessions", client.post("/restores", asked))
        yield server
    finally:
        server.stop()


def _ended(client: Client, path: str, session: dict[str, Any]) -> None:
    def stopped() -> bool:
        return bool(client.get(f"{path}/{session['id']}")["state"] == "Stopped")

    wait_until(stopped, timeout=60)
    assert client.get(f"{path}/{session['id']}")["result"] == "Success"
