"""The parts of flows that can be held alone: looking for a cancel, sealing keys, limits, patience, the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from restorium.catalog.database import Database
from restorium.catalog.restore_sessions import NewDisk
from restorium.flows import backup, durable, repositories
from restorium.flows import engine as engines
from restorium.flows.backing_up import BackingUp
from restorium.flows.capturing import Captured, PlannedVm
from restorium.flows.control import Control
from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.flows.restore_record import RestoreRecord
from restorium.flows.secrets import SecretBox
from restorium.settings import Settings, VaultSettings
from restorium.vault import Vault
from restorium.vocabulary.errors import Cancelled, Conflict, DatabaseUnavailable, WrongKey
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.estate import add_host
from tests.support.flows import CALLER, KEY, Site, make_vm
from tests.support.waiting import wait_until


@pytest.fixture
def engine(tmp_path: Path, sqlite_template: Path, clock: ManualClock) -> Iterator[Engine]:
    """An engine that is not started."""
    path = tmp_path / "restorium.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}", clock)
    yield Engine(Settings(data=tmp_path / "data"), database, clock)
    database.close()


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url, flows_per_repository=2)
    yield opened
    opened.close()


def test_cancel_is_looked_for_at_least_four_times_a_second(engine: Engine, clock: ManualClock) -> None:
    looks: list[float] = []
    asked = False

    def is_cancelled() -> bool:
        looks.append(clock.monotonic())
        return asked

    control = Control(engine, is_cancelled)
    for _ in range(100):
        assert not control.cancelled()
        clock.advance(0.01)
    assert 4 <= len(looks) <= 20
    asked = True
    clock.advance(0.25)
    with pytest.raises(Cancelled):
        control.check()
    with pytest.raises(Cancelled), control.unwinding():
        raise Cancelled("as the data path says it")


def test_progress_is_reported_with_each_look_and_none_is_lost(engine: Engine, clock: ManualClock) -> None:
    reported: list[int] = []
    control = Control(engine, lambda: False, reported.append)
    for _ in range(30):
        control.advance(7)
        control.cancelled()
        clock.advance(0.05)
    control.flush()
    control.flush()
    assert sum(reported) == 210
    assert 3 <= len(reported) <= 10


def test_stop_of_the_process_is_no_cancel(engine: Engine) -> None:
    control = Control(engine, lambda: False)
    engine.stopping.set()
    with pytest.raises(Interrupted):
        list(control.watched([1]))
    with pytest.raises(Interrupted), control.unwinding():
        raise Cancelled("as the data path says it")
    with pytest.raises(Interrupted), engine.running():
        pass


def test_database_that_comes_back_is_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restorium.flows.engine._RETRY_SECONDS", 0.001)
    answers = [DatabaseUnavailable("restarting"), DatabaseUnavailable("restarting"), None]

    def work() -> str:
        if (answer := answers.pop(0)) is not None:
            raise answer
        return "done"

    assert engine.attempt(work) == "done"
    monkeypatch.setattr("restorium.flows.engine._ATTEMPTS", 3)
    answers[:] = [DatabaseUnavailable("gone")] * 3
    with pytest.raises(DatabaseUnavailable):
        engine.attempt(work)
    answers[:] = [DatabaseUnavailable("gone")]
    engine.stopping.set()
    with pytest.raises(Interrupted):
        engine.attempt(work)


def test_sealed_key_opens_for_its_owner_with_its_master_key_alone(tmp_path: Path) -> None:
    owner = uuid4()
    sealed = SecretBox(tmp_path / "master.key").seal(owner, b"a secret")
    assert b"a secret" not in sealed
    assert (tmp_path / "master.key").stat().st_mode & 0o077 == 0
    assert SecretBox(tmp_path / "master.key").open(owner, sealed) == b"a secret"
    with pytest.raises(WrongKey):
        SecretBox(tmp_path / "master.key").open(uuid4(), sealed)
    with pytest.raises(WrongKey):
        SecretBox(tmp_path / "other.key").open(owner, sealed)
    (tmp_path / "short.key").write_bytes(b"short")
    with pytest.raises(WrongKey):
        SecretBox(tmp_path / "short.key")


def test_so_many_flows_run_at_once_on_a_repository_and_the_others_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vm(site.images, "web", data_mib=1)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    [point] = site.points()
    inside, most, lock, leave = 0, 0, threading.Lock(), threading.Event()
    plan = RestoreRecord.plan

    def held(record: RestoreRecord, planned: Sequence[NewDisk]) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        assert leave.wait(30)
        plan(record, planned)
        with lock:
            inside -= 1

    monkeypatch.setattr(RestoreRecord, "plan", held)
    sessions = [site.start_restore(point.id, keep_original=True, new_name=f"c{n}") for n in range(3)]
    wait_until(lambda: inside == 2)
    assert [site.restore_session(each).state for each in sessions].count(SessionState.STARTING) == 1
    leave.set()
    assert {site.restore_ended(each).result for each in sessions} == {SessionResult.SUCCESS}
    assert most == 2


@pytest.mark.slow
def test_records_of_finished_flows_are_deleted_and_no_others(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, database_url, keep_flow_records=timedelta(0))
    make_vm(site.images, "web", data_mib=1)
    job_id = site.set_up(["web"])
    monkeypatch.setattr(engines, "_FORGET_SECONDS", 10_000.0)
    monkeypatch.setattr(engines, "_FORGET_AT_ONCE", 2)
    site.engine.start()
    ended = [site.back_up(job_id).id for _ in range(3)]
    held, leave = threading.Event(), threading.Event()
    capture = BackingUp.capture

    def waiting(work: BackingUp, vm: PlannedVm) -> Captured:
        held.set()
        assert leave.wait(30)
        return capture(work, vm)

    monkeypatch.setattr(BackingUp, "capture", waiting)
    running = backup.start(site.engine, job_id, CALLER)
    assert held.wait(30)
    wait_until(lambda: set(durable.unfinished([*ended, running]).values()) == {True, False})
    monkeypatch.setattr(engines, "_FORGET_SECONDS", 0.0)
    site.engine._forget_next = 0.0  # as after the hour
    wait_until(lambda: durable.unfinished([*ended, running]) == {running: True})
    leave.set()
    assert site.job_ended(running).result is SessionResult.SUCCESS
    wait_until(lambda: durable.unfinished([running]) == {})
    url = site.engine._durable_url()
    site.engine.stop()
    left = sa.create_engine(url)
    with left.connect() as connection:
        schema = None if url.startswith("sqlite") else "dbos"
        for table in sa.inspect(connection).get_table_names(schema):
            if table in ("workflow_status", "operation_outputs", "workflow_inputs", "workflow_outputs"):
                rows = connection.execute(
                    sa.select(sa.func.count()).select_from(sa.table(table, schema=schema))
                )
                assert rows.scalar() == 0, table
    left.dispose()
    site.renew().start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    assert [site.job_session(each).result for each in ended] == [SessionResult.SUCCESS] * 3
    site.close()


def test_catalog_can_be_written_while_a_repository_is_being_opened(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deriving a key takes a second, and storage may take minutes to answer."""
    opening = Vault.open

    def slow(*arguments: Any, **options: Any) -> Vault:
        added = threading.Thread(target=_write, args=[engine])
        added.start()
        added.join(10)
        assert not added.is_alive(), "the catalog is locked"
        return opening(*arguments, **options)

    monkeypatch.setattr(Vault, "open", slow)
    repositories.add(engine, "main", (tmp_path / "vault").as_uri(), KEY)
    with pytest.raises(Conflict):
        repositories.add(engine, "main", (tmp_path / "other").as_uri(), KEY)
    assert not (tmp_path / "other").exists(), "a name that is refused leaves nothing behind"


def _write(engine: Engine) -> None:
    with engine.database.write() as connection:
        add_host(connection, str(uuid4()))


def test_durable_engine_keeps_to_tables_of_its_own(site: Site) -> None:
    def tables() -> set[str]:
        with site.database.read() as connection:
            return set(sa.inspect(connection).get_table_names())

    before = tables()
    site.engine.start()
    assert tables() == before


def test_threads_of_the_data_path_are_those_of_the_settings(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def spied(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(vault: Vault, *arguments: Any, **options: Any) -> Any:
            given.append(options["threads"] if "threads" in options else arguments[0])
            return real(vault, *arguments, **options)

        return call

    for name in ("backup", "restore_disk", "verify_disk"):
        monkeypatch.setattr(Vault, name, spied(getattr(Vault, name)))
    site = Site(tmp_path, database_url, vault=VaultSettings(threads=3))
    make_vm(site.images, "web", data_mib=1)
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    site.restore(site.points()[0].id)
    site.close()
    assert given == [3, 3, 3]
