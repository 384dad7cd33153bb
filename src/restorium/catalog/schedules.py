"""Schedules of jobs, and the next run that follows from each. ``next_run`` is never what no clock will start.

A due run is claimed by one guarded UPDATE, in the transaction that writes its session: so of several workers one has
it, and a crash leaves either both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows
from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import job_sessions, jobs
from restorium.vocabulary.backups import RunKind
from restorium.vocabulary.errors import Cancelled, InvalidInput
from restorium.vocabulary.schedule import Schedule
from restorium.vocabulary.sessions import SessionResult

_KIND = "job"


def of(job: Row) -> Schedule | None:
    """The schedule of a job, or of another row that has one; None if it has none."""
    return None if job.schedule is None else msgspec.convert(job.schedule, Schedule)


def configure(connection: Connection, job_id: UUID, schedule: Schedule | None, *, enabled: bool) -> None:
    """Set when a job runs by itself, and whether it does; its next run is reckoned from now.

    Raises NotFound, and InvalidInput for jobs that would run after each other in a circle.
    """
    job = rows.locked(connection, jobs, _KIND, job_id)
    if (of(job), job.schedule_enabled) == (schedule, enabled):
        return
    after_job_id = None if schedule is None else schedule.after_job
    if after_job_id is not None:
        _check_chain(connection, job, after_job_id)
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            schedule=None if schedule is None else msgspec.to_builtins(schedule),
            schedule_configured=schedule is not None,
            schedule_enabled=enabled,
            after_job_id=after_job_id,
            next_run=schedule.next_run(now(connection)) if schedule is not None and enabled else None,
            retry_attempt=0,
        )
    )


def due(connection: Connection, table: sa.Table = jobs) -> Sequence[Row]:
    """Jobs, or rows of another table that runs by schedules, whose next run has come, the longest due first."""
    return connection.execute(
        sa.select(table)
        .where(table.c.schedule_enabled, table.c.next_run <= now(connection))
        .order_by(table.c.next_run, table.c.id)
    ).all()


def take(connection: Connection, table: sa.Table, row: Row, **values: object) -> bool:
    """Take the run that ``due`` told of, set the next one, and ``values``; False if somebody else has taken it."""
    schedule = of(row)
    if schedule is None:
        return False
    taken = connection.execute(
        sa.update(table)
        .where(table.c.id == row.id, table.c.next_run == row.next_run, table.c.schedule_enabled)
        .values(next_run=schedule.next_run(now(connection)), **values)
    )
    return taken.rowcount == 1


def claim(connection: Connection, job: Row) -> int | None:
    """Take the run that ``due`` told of, and set the next one: 0 for a regular run, n for the nth retry.

    None if somebody else has it, or the schedule was changed meanwhile. Runs missed by now are this one; a retry
    that was overtaken by a regular run is that run.
    """
    schedule, at = of(job), now(connection)
    if schedule is None or not take(connection, jobs, job, retry_attempt=0):
        return None
    regular = schedule.next_run(job.next_run)
    overtaken = regular is not None and regular <= at
    attempt: int = 0 if overtaken else job.retry_attempt
    return attempt


def run_ended(connection: Connection, session: Row) -> None:
    """After a run: set its retry if it is to have one, else the runs of the jobs that follow this one.

    A run that was cancelled has neither, nor has what is no run of all of a job.
    """
    if session.kind is not RunKind.JOB or session.reason_code == Cancelled.code:
        return
    job = rows.locked(connection, jobs, _KIND, session.job_id)
    if session.result is not SessionResult.SUCCESS and _retry(connection, job, session):
        return
    followers = sa.select(jobs).where(jobs.c.after_job_id == job.id, jobs.c.schedule_enabled)
    for follower in connection.execute(followers).all():
        schedule = of(follower)
        if schedule is not None:
            moment = schedule.opening(now(connection))
            connection.execute(
                sa.update(jobs).where(jobs.c.id == follower.id).values(next_run=moment, retry_attempt=0)
            )


def closed_out(connection: Connection) -> Sequence[UUID]:
    """Sessions that began within the backup window of their job and still run after it has closed."""
    wanted = [job_sessions.c.id, job_sessions.c.created_at, jobs.c.schedule]
    running: Sequence[Row] = connection.execute(
        sa.select(*wanted)
        .join(jobs, jobs.c.id == job_sessions.c.job_id)
        .where(job_sessions.c.ended_at.is_(None), sa.not_(job_sessions.c.cancel_requested))
        .order_by(job_sessions.c.created_at, job_sessions.c.id)
    ).all()
    found = [(row, schedule) for row in running if (schedule := of(row)) is not None]
    at = now(connection)
    return [
        row.id for row, schedule in found if schedule.is_open(row.created_at) and not schedule.is_open(at)
    ]


def _retry(connection: Connection, job: Row, session: Row) -> bool:
    """Whether the run will be tried again before the job's next regular run. Nobody retries what a person started."""
    schedule = of(job)
    if schedule is None or schedule.retry is None or session.attempt is None:
        return False
    if not job.schedule_enabled or session.attempt >= schedule.retry.times:
        return False
    moment = schedule.opening(now(connection) + timedelta(minutes=schedule.retry.wait_minutes))
    noted = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job.id, sa.or_(jobs.c.next_run.is_(None), jobs.c.next_run > moment))
        .values(next_run=moment, retry_attempt=session.attempt + 1)
    )
    return noted.rowcount == 1


def _check_chain(connection: Connection, job: Row, after_job_id: UUID) -> None:
    seen, at = {job.id}, after_job_id
    while at not in seen:
        seen.add(at)
        following: UUID | None = rows.get(connection, jobs, _KIND, at).after_job_id
        if following is None:
            return
        at = following
    raise InvalidInput(
        f"job {job.name!r} would run after itself", hint="Let one job of the chain run by time."
    )
