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
            job = set_up(client, images, folder / "vault", capacity_bytes=10**9)
            for _ in range(2):
                back_up(client, job)
            first = client.items("/restore-points")[-1]
            asked = {"restore_point_id": first["id"], "keep_original": True, "new_name": "web2"}
            _ended(client, "/restore-sessions", client.post("/restores", asked))
        yield server
    finally:
        server.stop()


def set_up(client: Client, images: Path, vault: Path, **repository: Any) -> dict[str, Any]:
    """The host ``lab``, the repository ``local`` and the job ``nightly`` of the VM web; gives the job."""
    host = client.post("/hosts", {"name": "lab", "kind": "image-folder", "address": str(images)})
    kept = client.post("/repositories", {"name": "local", "url": vault.as_uri(), **repository})
    vms = [{"host_id": host["id"], "vm_ref": "web"}]
    job: dict[str, Any] = client.post("/jobs", {"name": "nightly", "repository_id": kept["id"], "vms": vms})
    return job


def back_up(client: Client, job: dict[str, Any]) -> None:
    """Run a job to its end, which must be a success."""
    _ended(client, "/job-sessions", client.post(f"/jobs/{job['id']}/start"))


def _ended(client: Client, path: str, session: dict[str, Any]) -> None:
    def stopped() -> bool:
        return bool(client.get(f"{path}/{session['id']}")["state"] == "Stopped")

    wait_until(stopped, timeout=60)
    assert client.get(f"{path}/{session['id']}")["result"] == "Success"
