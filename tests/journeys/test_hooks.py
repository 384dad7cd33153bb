"""A real server: webhooks that outlive its death, metrics, and that it leaves the machine alone while it is idle."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.api_catalog import fill
from restorium.cli.client import connect
from restorium.cli.demo.server import DemoServer, start_server
from tests.support.live import set_up
from tests.support.receivers import Receiver, receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
_TOKEN = "a scraper's token"
_TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[DemoServer]]:
    """Those that were started; what still runs at the end is killed."""
    started: list[DemoServer] = []
    yield started
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def _start(servers: list[DemoServer], folder: Path) -> DemoServer:
    config = folder / "restorium.toml"
    config.write_text(f'[webhooks]\ntargets = "any"\n[metrics]\ntoken = "{_TOKEN}"\n')
    servers.append(start_server(folder / "data", folder / "log", config))
    return servers[-1]


def test_webhook_is_delivered_although_the_server_dies_meanwhile(
    servers: list[DemoServer], hook: Receiver, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "web.raw").write_bytes(os.urandom(1 << 20))
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    server = _start(servers, tmp_path)
    hook.statuses = [500]
    with connect(server.connection) as client:
        job = set_up(client, images, tmp_path / "vault")
        asked = {"url": hook.url, "events": ["job.started", "job.stopped"]}
        webhook = client.post("/webhooks", asked)
        client.post(f"/jobs/{job['id']}/start")
        sent = f"/webhooks/{webhook['id']}/deliveries"
        wait_until(lambda: any(each["status"] == 500 for each in client.items(sent)), timeout=30)
    server.process.kill()
    server.process.wait()
    server = _start(servers, tmp_path)
    wait_until(
        lambda: {"job.started", "job.stopped"} <= {got.json["type"] for got in hook.got[1:]}, timeout=120
    )
    assert all(got.is_signed_with(webhook["secret"]) for got in hook.got)
    assert len({got.headers["webhook-id"] for got in hook.got}) == 2
    scraped = httpx.get(
        f"{server.url}/metrics",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        verify=ssl.create_default_context(cafile=server.folder.certificate),
    )
    assert scraped.status_code == 200
    assert 'restorium_job_runs_total{job="nightly",result="Success"} 1.0' in scraped.text
    assert "restorium_workers 1.0" in scraped.text


def test_idle_server_with_many_sessions_takes_little(servers: list[DemoServer], tmp_path: Path) -> None:
    """The aim is 2 % of a core; the bound is for a machine that does other things beside."""
    data = tmp_path / "data"
    data.mkdir()
    fill(f"sqlite:///{data / 'restorium.db'}", 100_000, 100)
    (data / "initial-password").write_text("bench\n")
    server = _start(servers, tmp_path)
    time_used = _cpu_seconds(server)
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 10, timeout=20)
    share = (_cpu_seconds(server) - time_used) / (time.monotonic() - begun)
    assert share < 0.04
    assert _resident_bytes(server) < 200e6


def _cpu_seconds(server: DemoServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident_bytes(server: DemoServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
