"""The next run of a job in the catalog: set, claimed, retried, chained. The clock stands still."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from restorium.catalog import job_sessions, jobs, schedules
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row
from restorium.vocabulary.errors import Cancelled, Conflict, InvalidInput, NotFound
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.retention import RetainBy, Retention
from restorium.vocabulary.schedule import (
    Daily,
    Hours,
    Monthly,
    Periodic,
    PeriodKind,
    Retry,
    Schedule,
    Weekday,
)
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job

CALLER = Caller("operator")
TEN = Schedule(daily=Daily(time(22)))
"""Next at 22:00 on the day of START, 04:05:06."""
RUN = datetime(2031, 2, 3, 22, tzinfo=UTC)
DAY = timedelta(days=1)


def _job(database: Database, name: str = "nightly", schedule: Schedule | None = None) -> Row:
    with database.write() as connection:
        host = add_host(connection, f"host of {name}")
        vms = [JobVm(host.id, f"vm-{number}", f"vm {number}") for number in (1, 2)]
        job = add_job(connection, vms, name)
        if schedule is not None:
            schedules.configure(connection, job.id, schedule, enabled=True)
        return jobs.get(connection, job.id)


def _get(database: Database, job: Row) -> Row:
    with database.read() as connection:
        return jobs.get(connection, job.id)


def _advance_to(clock: ManualClock, moment: datetime) -> None:
    clock.advance((moment - clock.now()).total_seconds())


def _end(
    connection: Connection,
    session: Row,
    result: SessionResult = SessionResult.FAILED,
    failed: tuple[str, ...] = (),
    code: str | None = None,
) -> None:
    """Let a run end as a flow does."""
    for task in job_sessions.tasks(connection, session.id):
        bad = task.vm_ref in failed or (result is SessionResult.FAILED and not failed)
        job_sessions.end_task(
            connection, task.id, SessionResult.FAILED if bad else SessionResult.SUCCESS, reason="no"
        )
    if session.state is SessionState.STARTING:
        job_sessions.advance(connection, session.id, SessionState.WORKING)
    stopped = job_sessions.advance(
        connection, session.id, SessionState.STOPPED, result=result, reason_code=code, reason="no"
    )
    schedules.run_ended(connection, stopped)


def _run(database: Database, job: Row, **ending: Any) -> Row:
    """Claim the job's due run and end it so; gives the session."""
    with database.write() as connection:
        [found] = [each for each in schedules.due(connection) if each.id == job.id]
        attempt = schedules.claim(connection, found)
        assert attempt is not None
        session = job_sessions.create(connection, job.id, CALLER, retry=attempt > 0, attempt=attempt)
        _end(connection, session, **ending)
        return session


@pytest.mark.parametrize(
    "schedule",
    [
        TEN,
        Schedule("Europe/Berlin", monthly=Monthly(time(1), weekday=Weekday.MONDAY, day=31), retry=Retry()),
        Schedule("+05:45", periodic=Periodic(PeriodKind.MINUTES, 90, Hours((1 << 23,) + (0xFFFF,) * 6))),
        Schedule(daily=Daily(time(22, 30)), window=Hours((3,) * 7)),
    ],
)
def test_schedule_is_kept_as_it_was_given(database: Database, schedule: Schedule) -> None:
    job = _job(database, schedule=schedule)
    assert schedules.of(job) == schedule
    assert job.schedule_configured and job.schedule_enabled
    assert job.next_run == schedule.next_run(START)


def test_next_run_follows_every_change(database: Database, clock: ManualClock) -> None:
    job = _job(database)
    assert (job.schedule_configured, job.next_run, schedules.of(job)) == (False, None, None)
    for schedule, enabled, next_run in (
        (TEN, True, RUN),
        (TEN, False, None),
        (TEN, True, RUN),
        (Schedule(daily=Daily(time(23))), True, RUN + timedelta(hours=1)),
        (None, True, None),
    ):
        with database.write() as connection:
            schedules.configure(connection, job.id, schedule, enabled=enabled)
        row = _get(database, job)
        assert (row.next_run, row.schedule_configured, row.schedule_enabled) == (
            next_run,
            schedule is not None,
            enabled,
        )


def test_run_is_due_from_its_moment_on_and_claimed_once(database: Database, clock: ManualClock) -> None:
    job = _job(database, schedule=TEN)
    _advance_to(clock, RUN - timedelta(microseconds=1))
    with database.read() as connection:
        assert schedules.due(connection) == []
    _advance_to(clock, RUN)
    with database.read() as connection:
        [due] = schedules.due(connection)
    with database.write() as connection:
        assert schedules.claim(connection, due) == 0
        assert schedules.claim(connection, due) is None
        assert schedules.due(connection) == []
    assert _get(database, job).next_run == RUN + DAY


def test_missed_runs_are_one(database: Database, clock: ManualClock) -> None:
    job = _job(database, schedule=TEN)
    _advance_to(clock, RUN + 5 * DAY + timedelta(hours=1))
    _run(database, job, result=SessionResult.SUCCESS)
    assert _get(database, job).next_run == RUN + 6 * DAY


def test_failed_run_is_retried_for_what_failed_as_often_as_the_schedule_says(
    database: Database, clock: ManualClock
) -> None:
    job = _job(database, schedule=Schedule(daily=Daily(time(22)), retry=Retry(2, 10)))
    _advance_to(clock, RUN)
    first = _run(database, job, result=SessionResult.WARNING, failed=("vm-2",))
    assert (first.is_retry, first.attempt) == (False, 0)
    for attempt in (1, 2):
        assert _get(database, job).next_run == RUN + attempt * timedelta(minutes=10)
        clock.advance(600)
        again = _run(database, job, result=SessionResult.FAILED)
        assert (again.is_retry, again.attempt) == (True, attempt)
        with database.read() as connection:
            assert [task.vm_ref for task in job_sessions.tasks(connection, again.id)] == ["vm-2"]
    assert _get(database, job).next_run == RUN + DAY


def test_nothing_is_retried_after_success_cancel_or_a_start_by_hand(
    database: Database, clock: ManualClock
) -> None:
    job = _job(database, schedule=Schedule(daily=Daily(time(22)), retry=Retry(2, 10)))
    _advance_to(clock, RUN)
    _run(database, job, result=SessionResult.SUCCESS)
    assert _get(database, job).next_run == RUN + DAY
    _advance_to(clock, RUN + DAY)
    _run(database, job, result=SessionResult.FAILED, code=Cancelled.code)
    assert _get(database, job).next_run == RUN + 2 * DAY
    with database.write() as connection:
        _end(connection, job_sessions.create(connection, job.id, CALLER))
    assert _get(database, job).next_run == RUN + 2 * DAY


def test_retry_gives_way_to_a_regular_run(database: Database, clock: ManualClock) -> None:
    job = _job(database, schedule=Schedule(daily=Daily(time(22)), retry=Retry(3, 10)))
    _advance_to(clock, RUN)
    _run(database, job)
    assert _get(database, job).next_run == RUN + timedelta(minutes=10)
    _advance_to(clock, RUN + DAY + timedelta(hours=1))  # down meanwhile: the regular run must not be lost
    session = _run(database, job, result=SessionResult.SUCCESS)
    assert (session.is_retry, session.attempt) == (False, 0)
    often = _job(database, "often", Schedule(periodic=Periodic(PeriodKind.MINUTES, 5), retry=Retry(3, 10)))
    clock.advance(300)
    _run(database, often)
    row = _get(database, often)
    assert row.next_run - clock.now() <= timedelta(minutes=5) and row.retry_attempt == 0


def test_retry_by_hand_needs_something_that_failed(database: Database, clock: ManualClock) -> None:
    job = _job(database)
    with database.write() as connection:
        with pytest.raises(Conflict, match="no VM failed"):
            job_sessions.create(connection, job.id, CALLER, retry=True)
        _end(connection, job_sessions.create(connection, job.id, CALLER), failed=("vm-1",))
        clock.advance(1)
        again = job_sessions.create(connection, job.id, CALLER, retry=True)
        assert again.is_retry
        assert [task.vm_ref for task in job_sessions.tasks(connection, again.id)] == ["vm-1"]


def test_job_runs_after_another_once_that_is_through_with_its_retries(
    database: Database, clock: ManualClock
) -> None:
    first = _job(database, "first", Schedule(daily=Daily(time(22)), retry=Retry(1, 10)))
    second = _job(database, "second", Schedule(after_job=first.id))
    idle = _job(database, "idle", Schedule(after_job=first.id))
    with database.write() as connection:
        schedules.configure(connection, idle.id, schedules.of(idle), enabled=False)
    assert _get(database, second).next_run is None
    _advance_to(clock, RUN)
    _run(database, first, result=SessionResult.FAILED)
    assert _get(database, second).next_run is None
    clock.advance(600)
    _run(database, first, result=SessionResult.SUCCESS)
    assert _get(database, second).next_run == clock.now()
    assert _get(database, idle).next_run is None
    assert _run(database, second, result=SessionResult.SUCCESS).attempt == 0
    assert _get(database, second).next_run is None
    with database.write() as connection:
        _end(connection, job_sessions.create(connection, first.id, CALLER), code=Cancelled.code)
    assert _get(database, second).next_run is None


def test_chains_have_an_end_and_their_jobs_stay(database: Database) -> None:
    first, second = _job(database, "first", TEN), _job(database, "second")
    with database.write() as connection:
        schedules.configure(connection, second.id, Schedule(after_job=first.id), enabled=True)
    for after in (first, second):
        with pytest.raises(InvalidInput, match="after itself"), database.write() as connection:
            schedules.configure(connection, first.id, Schedule(after_job=after.id), enabled=True)
    with pytest.raises(Conflict, match="'second' runs after"), database.write() as connection:
        jobs.remove(connection, first.id)
    with database.write() as connection:
        jobs.remove(connection, second.id)
        jobs.remove(connection, first.id)


def test_run_leaves_its_window_only_if_it_began_in_it(database: Database, clock: ManualClock) -> None:
    night = Hours((0b111111 | 0b11 << 22,) * 7)
    inside = _job(database, "inside", Schedule(daily=Daily(time(4)), window=night))
    with database.write() as connection:
        session = job_sessions.create(connection, inside.id, CALLER)
    clock.advance(3600)
    with database.read() as connection:
        assert schedules.closed_out(connection) == []
    clock.advance(3600)
    by_day = _job(database, "by day", Schedule(daily=Daily(time(4)), window=night))
    with database.write() as connection:
        job_sessions.create(connection, by_day.id, CALLER)
        assert schedules.closed_out(connection) == [session.id]
        job_sessions.request_cancel(connection, session.id)
        assert schedules.closed_out(connection) == []


def test_retention_is_kept_and_running_jobs_stay(database: Database) -> None:
    job = _job(database)
    assert jobs.retention_of(job) is None
    for kept in (Retention(RetainBy.DAYS, 7, 30), Retention(RetainBy.CYCLES, 3, 30), None):
        with database.write() as connection:
            jobs.retain(connection, job.id, kept)
        assert jobs.retention_of(_get(database, job)) == kept
    with database.write() as connection:
        job_sessions.create(connection, job.id, CALLER)
    with pytest.raises(Conflict, match="is running"), database.write() as connection:
        jobs.remove(connection, job.id)


def test_objects_of_a_job_come_and_go(database: Database) -> None:
    job = _job(database)
    with database.write() as connection:
        first, second = jobs.objects(connection, job.id)
        third = JobVm(first.host_id, "vm-3", "vm 3")
        added = jobs.add_object(connection, job.id, third)
        assert [each.vm_ref for each in jobs.objects(connection, job.id)] == ["vm-1", "vm-2", "vm-3"]
        with pytest.raises(Conflict, match="already"):
            jobs.add_object(connection, job.id, third)
        jobs.remove_object(connection, job.id, first.id)
        jobs.remove_object(connection, job.id, added.id)
        with pytest.raises(Conflict, match="no other VM"):
            jobs.remove_object(connection, job.id, second.id)
        with pytest.raises(NotFound):
            jobs.remove_object(connection, job.id, UUID(int=1))
        assert [each.id for each in jobs.objects(connection, job.id)] == [second.id]
