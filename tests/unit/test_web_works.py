"""Verifying and pruning that the page began: it goes on by itself, one at a time, and is followed and stopped there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from restorium.catalog.database import Database
from restorium.flows import maintenance
from restorium.flows.maintenance import Progress
from restorium.vault import VerifyReport
from restorium.vocabulary.errors import Cancelled
from restorium.web import live
from restorium.web.app import create
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_HOME = "https://127.0.0.1:9398"
_OWN = {"Origin": _HOME}


class Held:
    """A verification that has read two of five bytes until it is let go or stopped."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked: list[dict[str, bool]] = []

    def verify(
        self, _engine: Any, _id: Any, progress: Progress, cancelled: Callable[[], bool], **asked: bool
    ) -> VerifyReport:
        self.asked.append(asked)
        progress("reading", 2, 5)
        while not self.let.wait(0.01):
            if cancelled():
                self.asked.append({"stopped": True})
                raise Cancelled("stopped")
        return VerifyReport(3, 2, 5, (), (), 0)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held()
    monkeypatch.setattr(maintenance, "verify", made.verify)
    yield made
    made.let.set()


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def browser(here: Site) -> TestClient:
    made = TestClient(create(here.engine), base_url=_HOME, follow_redirects=False, client=("127.0.0.1", 1))
    made.post("/log-on", data={"name": "administrator", "password": PASSWORD}, headers=_OWN)
    return made


@pytest.fixture
def path(here: Site) -> str:
    return f"/repositories/{here.ids['Repository']}"


def _send(browser: TestClient, path: str, **form: str) -> Any:
    return browser.post(path, data=form, headers=_OWN)


def test_it_goes_on_alone_and_ends_by_itself(browser: TestClient, path: str, held: Held) -> None:
    assert _send(browser, path, what="verify", read_data="yes").headers["Location"] == path
    wait_until(lambda: "Reading" in browser.get(path).text)
    shown = browser.get(path).text
    assert "40 %" in shown
    assert "Verify now" not in shown
    refused = _send(browser, path, what="prune")
    assert refused.status_code == 409
    assert "that administrator began still goes on" in refused.text
    assert held.asked == [{"read_data": True, "quarantine": False}]
    held.let.set()
    wait_until(lambda: "Nothing is wrong" in browser.get(path).text)
    assert "Verify now" in browser.get(path).text


def test_stop_stops_it_and_another_can_begin(browser: TestClient, path: str, held: Held, here: Site) -> None:
    _send(browser, path, what="verify", quarantine="yes")
    wait_until(lambda: "Reading" in browser.get(path).text)
    _send(browser, path, what="stop")
    wait_until(lambda: {"stopped": True} in held.asked)
    wait_until(lambda: "The verify was stopped" in browser.get(path).text)
    _send(browser, path, what="verify")
    wait_until(lambda: "Reading" in browser.get(path).text)


def test_who_follows_it_gets_its_progress_and_its_end(
    browser: TestClient, path: str, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(_seconds: float) -> None:
        held.let.set()

    _send(browser, path, what="verify")
    monkeypatch.setattr(live, "sleep", sleep)
    told = browser.get(f"/live{path}").text
    assert "event: parts" in told
    assert "Verification goes on" in told
    assert "Nothing is wrong" in told
    assert told.rstrip().endswith("nothing changes any more")
