"""Reports: what the catalog comes to, in numbers. Each is read in the one snapshot of its connection.

The latest state of a VM is the result of the last task session of it that ended. Counts of runs and days are of a
while that ends now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.job_sessions import sessions_in_scope
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.surroundings import now
from restorium.catalog.tables import (
    backup_files,
    backup_servers,
    job_sessions,
    jobs,
    repositories,
    task_sessions,
    vm_restore_points,
)
from restorium.vocabulary.backups import BackupFileType
from restorium.vocabulary.sessions import SessionResult, SessionState

_STATISTICS = timedelta(days=1)
_DAYS = 7
_DAY_MICROSECONDS = 86_400_000_000


class Overview(NamedTuple):
    """Counts of what there is, of jobs that run and that will, and of VMs by their latest state."""

    servers: int
    repositories: int
    running_jobs: int
    scheduled_jobs: int
    states: dict[SessionResult, int]


class Vms(NamedTuple):
    """VMs that have a restore point, their restore points, and bytes: stored by kind, and of the VMs themselves."""

    protected: int
    restore_points: int
    full_bytes: int
    incremental_bytes: int
    source_bytes: int
    success_percent: int


class Runs(NamedTuple):
    """Runs of the last day by result, and the longest of them, with its job's name and its length in seconds."""

    running_jobs: int
    scheduled_jobs: int
    total: int
    results: dict[SessionResult, int]
    longest_seconds: int
    longest_name: str


def overview(connection: Connection) -> Overview:
    """What there is and how it is."""
    return Overview(
        _count(connection, backup_servers),
        _count(connection, repositories),
        _running(connection),
        _scheduled(connection),
        _latest_states(connection),
    )


def vms(connection: Connection) -> Vms:
    """What is kept of how many VMs."""
    size = sa.func.coalesce(sa.func.sum(backup_files.c.backup_size), 0)
    stored: dict[Any, Any] = {
        row.file_type: int(row.size)
        for row in connection.execute(
            sa.select(backup_files.c.file_type, size.label("size")).group_by(backup_files.c.file_type)
        )
    }
    latest = _ranked(
        vm_restore_points.join(backup_files, backup_files.c.id == vm_restore_points.c.backup_file_id),
        vm_restore_points,
        backup_files.c.data_size.label("size"),
    )
    kept = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(latest.c.size), 0)).where(latest.c.place == 1)
    ).one()
    states = _latest_states(connection)
    ended = sum(states.values())
    full = stored.pop(BackupFileType.VBK, 0)
    return Vms(
        protected=kept[0],
        restore_points=_count(connection, vm_restore_points),
        full_bytes=full,
        incremental_bytes=sum(stored.values()),
        source_bytes=int(kept[1]),
        success_percent=states[SessionResult.SUCCESS] * 100 // ended if ended else 0,
    )


def runs(connection: Connection, visible: Visibility) -> Runs:
    """How the runs of the last day went; the longest is one of those that may be seen."""
    recent = job_sessions.c.created_at >= now(connection) - _STATISTICS
    results = dict.fromkeys(SessionResult, 0)
    for result, number in connection.execute(
        sa.select(job_sessions.c.result, sa.func.count()).where(recent).group_by(job_sessions.c.result)
    ):
        results[result] = number
    length = _microseconds(job_sessions.c.ended_at) - _microseconds(job_sessions.c.created_at)
    ended = (
        sa.select(jobs.c.name, length.label("length"))
        .join(jobs, jobs.c.id == job_sessions.c.job_id)
        .where(recent, job_sessions.c.ended_at.is_not(None))
        .order_by(sa.desc("length"), job_sessions.c.id)
        .limit(1)
    )
    if visible.account_id is not None:
        ended = ended.where(sessions_in_scope)
    longest = connection.execute(ended, visible.parameters).one_or_none()
    return Runs(
        _running(connection),
        _scheduled(connection),
        sum(results.values()),
        results,
        0 if longest is None else longest.length // 1_000_000,
        "" if longest is None else longest.name,
    )


def usage(connection: Connection) -> Sequence[Row]:
    """Each repository by name: ``name``, ``capacity_bytes`` and ``free_bytes``, -1 where unknown, ``backup_bytes``."""
    kept = (
        sa.select(backup_files.c.repository_id, sa.func.sum(backup_files.c.backup_size).label("size"))
        .group_by(backup_files.c.repository_id)
        .subquery()
    )
    return connection.execute(
        sa.select(
            repositories.c.name,
            repositories.c.capacity_bytes,
            repositories.c.free_bytes,
            sa.cast(sa.func.coalesce(kept.c.size, 0), sa.BigInteger).label("backup_bytes"),
        )
        .select_from(repositories.outerjoin(kept, kept.c.repository_id == repositories.c.id))
        .order_by(repositories.c.name)
    ).all()


def processed(connection: Connection) -> list[tuple[datetime, int]]:
    """How many VMs were backed up on each of the last seven days (UTC), today last; 0 where none was."""
    today = now(connection).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    day = (_microseconds(vm_restore_points.c.created_at) // _DAY_MICROSECONDS).label("day")
    each = (
        sa.select(day, vm_restore_points.c.host_id, vm_restore_points.c.vm_ref)
        .where(vm_restore_points.c.created_at >= days[0])
        .distinct()
        .subquery()
    )
    counted: dict[int, int] = {
        row.day: row.number
        for row in connection.execute(
            sa.select(each.c.day, sa.func.count().label("number")).group_by(each.c.day)
        )
    }
    return [(at, counted.get(int(at.timestamp()) // 86_400, 0)) for at in days]


def _latest_states(connection: Connection) -> dict[SessionResult, int]:
    latest = _ranked(
        task_sessions, task_sessions, task_sessions.c.result, where=task_sessions.c.ended_at.is_not(None)
    )
    states = dict.fromkeys((SessionResult.SUCCESS, SessionResult.WARNING, SessionResult.FAILED), 0)
    for result, number in connection.execute(
        sa.select(latest.c.result, sa.func.count()).where(latest.c.place == 1).group_by(latest.c.result)
    ):
        states[result] = number
    return states


def _ranked(
    source: sa.FromClause,
    table: sa.Table,
    value: sa.ColumnElement[Any],
    *,
    where: sa.ColumnElement[bool] | None = None,
) -> sa.Subquery:
    """``value`` of each row, and the row's ``place`` among those of its VM, the latest first."""
    place = sa.func.row_number().over(
        partition_by=(table.c.host_id, table.c.vm_ref),
        order_by=(table.c.created_at.desc(), table.c.id.desc()),
    )
    statement = sa.select(value, place.label("place")).select_from(source)
    return (statement if where is None else statement.where(where)).subquery()


def _running(connection: Connection) -> int:
    statement = sa.select(sa.func.count(job_sessions.c.job_id.distinct())).where(
        job_sessions.c.state != SessionState.STOPPED
    )
    total: int = connection.execute(statement).scalar_one()
    return total


def _scheduled(connection: Connection) -> int:
    """Jobs that will run by themselves."""
    statement = (
        sa.select(sa.func.count())
        .select_from(jobs)
        .where(jobs.c.schedule_configured, jobs.c.schedule_enabled)
    )
    total: int = connection.execute(statement).scalar_one()
    return total


def _count(connection: Connection, table: sa.Table) -> int:
    total: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return total


def _microseconds(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.type_coerce(column, sa.BigInteger)
