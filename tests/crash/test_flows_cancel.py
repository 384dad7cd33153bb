"""Cancels that something stands in the way of: storage that does not answer, a slow database, a queue, a crash."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from restorium.catalog.database import Database
from restorium.flows import restore, restoring
from restorium.flows.restore_record import RestoreRecord
from restorium.vault.chunkstore import ChunkStore
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.flows import MIB, Site, files, make_vm
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_LIMIT_SECONDS = 10.0


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def point(site: Site) -> UUID:
    """A restore point of a VM web; the engine runs."""
    make_vm(site.images, "web", data_mib=8)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    point_id: UUID = site.points()[0].id
    return point_id


def _cancelled_in_time(site: Site, session_id: UUID, names: set[str]) -> None:
    asked = time.monotonic()
    restore.cancel(site.engine, session_id)
    assert site.restore_session(session_id).state in (SessionState.STOPPING, SessionState.STOPPED)
    session = site.restore_ended(session_id)
    assert time.monotonic() - asked < _LIMIT_SECONDS
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    assert files(site.images) == names


class Gate:
    """Calls that wait until they are let through."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.open.wait(60)


@pytest.mark.parametrize("where", ["fetch", "sync"])
def test_storage_that_does_not_answer_holds_no_cancel_up(
    site: Site, point: UUID, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = Gate(), getattr(ChunkStore, where)
    threads = set(threading.enumerate())

    def hanging(store: ChunkStore, *arguments: Any) -> Any:
        gate.wait()
        return real(store, *arguments)

    names = files(site.images)
    monkeypatch.setattr(ChunkStore, where, hanging)
    session_id = site.start_restore(point, keep_original=True, new_name="copy")
    assert gate.reached.wait(30)
    _cancelled_in_time(site, session_id, names)
    disks = site.disks(session_id)
    events = site.events(session_id)
    gate.open.set()
    monkeypatch.undo()
    wait_until(lambda: not [t for t in set(threading.enumerate()) - threads if t.name == "step"], 30)
    assert files(site.images) == names, "what woke up late makes nothing"
    assert (site.disks(session_id), site.events(session_id)) == (disks, events)
    assert site.restore(point, keep_original=True, new_name="copy").result is SessionResult.SUCCESS


def test_slow_database_holds_no_cancel_up(site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, copied, write = Gate(), RestoreRecord.copied, Database.write
    slowness = threading.Event()

    @contextmanager
    def slow(database: Database) -> Iterator[Connection]:
        slowness.wait(0.7)  # nobody sets it
        with write(database) as connection:
            yield connection

    def waiting(record: RestoreRecord, disk_key: str, **values: int) -> None:
        copied(record, disk_key, **values)
        gate.wait()

    names = files(site.images)
    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", MIB)
    monkeypatch.setattr(RestoreRecord, "copied", waiting)
    session_id = site.start_restore(point)
    assert gate.reached.wait(30)
    monkeypatch.setattr(Database, "write", slow)
    gate.open.set()
    _cancelled_in_time(site, session_id, names)


def test_restore_that_waits_to_go_on_waits_no_longer(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ran when the server stopped, and only one may go on."""
    gate, copied = Gate(), RestoreRecord.copied
    held: set[UUID] = set()

    def waiting(record: RestoreRecord, disk_key: str, **values: int) -> None:
        copied(record, disk_key, **values)
        held.add(record.session().id)
        while not gate.open.wait(0.05) and not site.engine.stopping.is_set():
            record.is_cancelled()

    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", MIB)
    monkeypatch.setattr(RestoreRecord, "copied", waiting)
    names = files(site.images)
    both = {site.start_restore(point, keep_original=True, new_name=name): name for name in ("one", "two")}
    wait_until(lambda: held == set(both), 30)
    site.engine.stop()
    held.clear()
    site.settings = site.settings.model_copy(update={"flows_per_repository": 1})
    site.renew().start()
    wait_until(lambda: held, 30)
    [goes_on] = held
    [waits] = set(both) - held
    assert site.restore_session(waits).state is SessionState.WORKING
    asked = time.monotonic()
    restore.cancel(site.engine, waits)
    assert site.restore_ended(waits).reason_code == "cancelled"
    assert time.monotonic() - asked < _LIMIT_SECONDS
    gate.open.set()
    assert site.restore_ended(goes_on).result is SessionResult.SUCCESS
    assert files(site.images) == names | {f"{both[goes_on]}.raw", f"{both[goes_on]}.vm.toml"}


@pytest.mark.parametrize("place", ["-_take_back", "_take_back"])
def test_worker_that_dies_in_stopping_is_followed_by_one_that_ends_it(
    site: Site, point: UUID, place: str
) -> None:
    names = files(site.images)
    site.engine.stop()
    site.renew()
    session_id = site.start_restore(point)
    _killed(site, "restorium.flows.restore_record:RestoreRecord.copied")
    assert files(site.images) != names
    restore.cancel(site.engine, session_id)
    assert site.restore_session(session_id).state is SessionState.STOPPING
    sign, name = ("-", place[1:]) if place.startswith("-") else ("", place)
    _killed(site, f"{sign}restorium.flows.restoring:Restoring.{name}")
    assert site.restore_session(session_id).state is SessionState.STOPPING
    site.engine.start()
    began = time.monotonic()
    session = site.restore_ended(session_id)
    assert time.monotonic() - began < _LIMIT_SECONDS
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    assert files(site.images) == names


def _killed(site: Site, place: str) -> None:
    command = [sys.executable, "-m", "tests.support.flow_child"]
    child = subprocess.run(
        [*command, site.folder, site.database_url, place, "1", str(2 * MIB)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
