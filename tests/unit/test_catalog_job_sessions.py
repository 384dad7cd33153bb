"""Job sessions, their task sessions, and the workers that carry them."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest

from restorium.catalog import job_sessions, workers
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Compare, Row, Visibility
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.errors import Conflict, IllegalTransition, NotFound
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

EVERYTHING = Visibility.everything()
CALLER = Caller("jo")
NOWHERE = UUID(int=404)


@pytest.fixture
def vms(database: Database) -> list[JobVm]:
    with database.write() as connection:
        host = add_host(connection)
    return [JobVm(host.id, "vm-2", "web"), JobVm(host.id, "vm-1", "db7")]


@pytest.fixture
def job(database: Database, vms: list[JobVm]) -> Row:
    with database.write() as connection:
        return add_job(connection, vms)


def _create(database: Database, job_id: UUID) -> Row:
    with database.write() as connection:
        return job_sessions.create(connection, job_id, CALLER)


def test_a_run_has_a_pending_task_for_each_vm(database: Database, job: Row) -> None:
    session = _create(database, job.id)
    with database.read() as connection:
        row = job_sessions.listing.one(connection, session.id, EVERYTHING)
        where = Compare("job_session_id", "==", session.id)
        tasks = job_sessions.task_listing.page(
            connection, where=where, order=[("vm_name", False)], visible=EVERYTHING
        )
        assert [task.id for task in job_sessions.tasks(connection, session.id)] == [task.id for task in tasks]
    assert row is not None
    assert (row.job_id, row.job_name, row.job_type) == (job.id, "nightly", JobType.BACKUP)
    assert (row.restore_point_id, row.restore_point_name, row.is_retry) == (None, None, False)
    assert (row.name, row.requested_by) == ("nightly@2031-02-03 04:05:06", "jo")
    assert [(task.vm_name, task.state, task.result) for task in tasks] == [
        ("db7", TaskSessionState.PENDING, SessionResult.NONE),
        ("web", TaskSessionState.PENDING, SessionResult.NONE),
    ]
    assert {(task.job_id, task.job_name, task.job_session_name) for task in tasks} == {
        (job.id, "nightly", session.name)
    }


def test_a_job_runs_once_at_a_time(database: Database, job: Row) -> None:
    barrier = threading.Barrier(5)
    made: list[Row] = []
    refused: list[Conflict] = []

    def start() -> None:
        barrier.wait()
        try:
            made.append(_create(database, job.id))
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 4)
    assert "nightly" in refused[0].message
    with database.write() as connection:
        job_sessions.advance(connection, made[0].id, SessionState.STOPPED, result=SessionResult.FAILED)
    _create(database, job.id)


def test_a_run_tells_what_it_made(database: Database, job: Row, vms: list[JobVm], clock: ManualClock) -> None:
    session = _create(database, job.id)
    with database.write() as connection:
        record_point(connection, job, vms, session.id, START)
        job_sessions.advance(connection, session.id, SessionState.WORKING)
        job_sessions.take(connection, session.id, "w1")
        clock.advance(9)
        job_sessions.advance(
            connection,
            session.id,
            SessionState.STOPPED,
            result=SessionResult.SUCCESS,
            restore_point_id=session.id,
        )
        row = job_sessions.listing.one(connection, session.id, EVERYTHING)
    assert row is not None
    assert (row.restore_point_id, row.restore_point_name) == (session.id, "nightly@04:05:06")
    assert (row.progress, row.hold, row.ended_at) == (100, "w1", START + timedelta(seconds=9))


def test_progress_rises_to_99_until_the_run_has_succeeded(database: Database, job: Row) -> None:
    session_id = _create(database, job.id).id
    seen = []
    with database.write() as connection:
        for percent in (10, 5, 40, 100, 60):
            job_sessions.record_progress(connection, session_id, percent)
            seen.append(job_sessions.get(connection, session_id).progress)
        job_sessions.advance(connection, session_id, SessionState.STOPPED, result=SessionResult.FAILED)
        job_sessions.record_progress(connection, session_id, 99)
        seen.append(job_sessions.get(connection, session_id).progress)
    assert seen == [10, 10, 40, 99, 99, 99]


def test_a_task_begins_goes_on_and_ends_once(database: Database, job: Row, clock: ManualClock) -> None:
    session = _create(database, job.id)
    with database.write() as connection:
        task = job_sessions.tasks(connection, session.id)[0]
        job_sessions.start_task(connection, task.id, total_bytes=4000)
        job_sessions.record_task(connection, task.id, read_bytes=3000, stored_bytes=100)
        clock.advance(3)
        assert job_sessions.end_task(
            connection, task.id, SessionResult.FAILED, reason_code="host", reason="lost"
        )
        assert not job_sessions.end_task(connection, task.id, SessionResult.SUCCESS)
        job_sessions.start_task(connection, task.id, total_bytes=1)
        ended = job_sessions.tasks(connection, session.id)[0]
    assert (ended.state, ended.result) == (TaskSessionState.COMPLETED, SessionResult.FAILED)
    assert (ended.reason_code, ended.reason) == ("host", "lost")
    assert (ended.total_bytes, ended.read_bytes, ended.stored_bytes) == (4000, 3000, 100)
    assert ended.ended_at == START + timedelta(seconds=3)


def test_runs_follow_the_same_state_machine_as_restores(database: Database, job: Row) -> None:
    session_id = _create(database, job.id).id
    with database.write() as connection:
        with pytest.raises(IllegalTransition):
            job_sessions.advance(connection, session_id, SessionState.STOPPED)
        job_sessions.request_cancel(connection, session_id)
        assert job_sessions.get(connection, session_id).cancel_requested
        assert [row.id for row in job_sessions.unfinished(connection)] == [session_id]
        job_sessions.advance(connection, session_id, SessionState.STOPPING)
        with pytest.raises(IllegalTransition, match="Stopping"):
            job_sessions.advance(connection, session_id, SessionState.WORKING)
        job_sessions.advance(connection, session_id, SessionState.STOPPED, result=SessionResult.WARNING)
        assert job_sessions.unfinished(connection) == []


def test_a_run_of_no_job_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match=str(NOWHERE)):
        _create(database, NOWHERE)


def test_beats_of_a_worker_are_counted_from_its_start(database: Database, clock: ManualClock) -> None:
    with database.write() as connection:
        workers.beat(connection, "w1", "rack", 10)
        workers.beat(connection, "w2", "rack", 11)
        clock.advance(20)
        workers.beat(connection, "w2", "rack", 11)
        again = {row.id: row for row in workers.list_all(connection)}
        assert (again["w1"].beats, again["w2"].beats, again["w2"].started_at) == (1, 2, START)
        workers.beat(connection, "w2", "rack", 12)
        restarted = {row.id: row for row in workers.list_all(connection)}["w2"]
        assert (restarted.started_at, restarted.pid) == (START + timedelta(seconds=20), 12)
        workers.remove(connection, "w1")
        assert [row.id for row in workers.list_all(connection)] == ["w2"]
