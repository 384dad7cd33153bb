"""Servers that tests start, kill and start again, and the browser that looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from restorium.cli.demo.server import DemoServer, start_server
from tests.support.browser import chromium
from tests.support.live import Starter


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a server on one data folder; what still runs at the end is killed."""
    started: list[DemoServer] = []

    def start_one() -> DemoServer:
        started.append(start_server(tmp_path / "data", tmp_path / "log"))
        return started[-1]

    yield start_one
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened
