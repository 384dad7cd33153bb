"""How fast restores go: what is measured while they do, and what is expected from it.

A restore copies and then verifies, at rates that have little to do with each other. Both are measured as averages in
which the last two minutes count most, so that a medium that becomes slower is noticed and one slow second is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import (
    backups,
    restore_disks,
    restore_points,
    restore_rates,
    restore_samples,
    restore_sessions,
    vm_restore_points,
)
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState

MOST_SAMPLES = 300
_MEMORY_SECONDS = 120.0
"""An average forgets two thirds of what is older than this."""
_SPEED_SECONDS = 5.0
_INTERVAL_SECONDS = 1.0
_GAP_SECONDS = 600.0
"""Between two measurements: nothing of what goes on takes so long, so the clock was set or the machine slept."""
_SILENT = timedelta(seconds=60)
_EARLIER = 20


def begin(connection: Connection, session: Row, planned_bytes: int) -> None:
    """Begin to measure a session, whose disks have just been planned."""
    at = now(connection)
    repository_id = connection.execute(
        sa.select(backups.c.repository_id)
        .select_from(vm_restore_points.join(restore_points).join(backups))
        .where(vm_restore_points.c.id == session.vm_restore_point_id)
    ).scalar_one_or_none()
    host_id = session.target_host_id or session.host_id
    connection.execute(
        sa.insert(restore_rates).values(
            session_id=session.id,
            repository_id=repository_id,
            host_id=host_id,
            measured_at=at,
            copied_bytes=0,
            verified_bytes=0,
            copy_weight=0.0,
            verify_weight=0.0,
        )
    )
    expected = None if repository_id is None else estimate(connection, repository_id, host_id, planned_bytes)
    if expected is not None:
        _note(connection, session.id, {"measured_at": at, "expected_end": at + timedelta(seconds=expected)})


def resume(connection: Connection, session_id: UUID) -> None:
    """What went by since the last measurement does not count: a phase begins, perhaps after an interruption."""
    done = sa.select(
        sa.func.coalesce(sa.func.sum(restore_disks.c.copied_bytes), 0),
        sa.func.coalesce(sa.func.sum(restore_disks.c.verified_bytes), 0),
    ).where(restore_disks.c.session_id == session_id)
    copied, verified = connection.execute(done).one()
    connection.execute(
        sa.update(restore_rates)
        .where(restore_rates.c.session_id == session_id)
        .values(measured_at=now(connection), copied_bytes=int(copied), verified_bytes=int(verified))
    )


def measure(connection: Connection, session: Row, disks: Sequence[Row], *, ended: bool) -> None:
    """Measure a session, whose row this transaction has locked, by how far its disks are now.

    Once a second at most, but always when a disk has ``ended``.
    """
    rates = connection.execute(
        sa.select(restore_rates).where(restore_rates.c.session_id == session.id)
    ).one_or_none()
    at = now(connection)
    seconds = 0.0 if rates is None else (at - rates.measured_at).total_seconds()
    if rates is None or (0 <= seconds < _INTERVAL_SECONDS and not (ended and seconds > 0)):
        return
    copied = sum(disk.copied_bytes for disk in disks)
    verified = sum(disk.verified_bytes for disk in disks)
    values: dict[str, Any] = {"measured_at": at, "copied_bytes": copied, "verified_bytes": verified}
    speed = session.speed
    if 0 < seconds < _GAP_SECONDS:
        more_copied, more_verified = (
            max(0, copied - rates.copied_bytes),
            max(0, verified - rates.verified_bytes),
        )
        if session.phase is RestorePhase.COPYING:
            averaged = _averaged(rates.copy_rate, rates.copy_weight, more_copied, seconds)
            values["copy_rate"], values["copy_weight"] = averaged
        elif session.phase is RestorePhase.VERIFYING:
            averaged = _averaged(rates.verify_rate, rates.verify_weight, more_verified, seconds)
            values["verify_rate"], values["verify_weight"] = averaged
        speed = _smoothed(session.speed, (more_copied + more_verified) / seconds, seconds)
    connection.execute(
        sa.update(restore_rates).where(restore_rates.c.session_id == session.id).values(values)
    )
    # Earlier restores tell nothing of how fast a running VM takes its disks over.
    left = None if session.spec.get("instant") else _left(connection, rates, values, disks)
    expected = None if left is None else at + timedelta(seconds=left)
    _note(connection, session.id, {"measured_at": at, "speed": speed, "expected_end": expected})
    _sample(connection, session, at, copied, verified, ended=ended)


def estimate(connection: Connection, repository_id: UUID, host_id: UUID, size: int) -> float | None:
    """Seconds that copying and verifying ``size`` bytes of data from a repository to a host may take.

    By the rates of the last restores from that repository to that host, or of any restores if there was none; None if
    there has been none at all.
    """
    copy_rate = _usual(connection, restore_rates.c.copy_rate, repository_id, host_id)
    verify_rate = _usual(connection, restore_rates.c.verify_rate, repository_id, host_id) or copy_rate
    if copy_rate is None or verify_rate is None:
        return None
    return size / copy_rate + size / verify_rate


def samples(connection: Connection, session_id: UUID) -> Sequence[Row]:
    """How far a restore was over time: rows with at, phase, copied_bytes, verified_bytes; at most 300, in order."""
    return connection.execute(
        sa.select(restore_samples)
        .where(restore_samples.c.session_id == session_id)
        .order_by(restore_samples.c.at)
    ).all()


def speed_of(session: Row, at: datetime) -> int | None:
    """Bytes a second that a session copies or verifies now; None while it does neither."""
    if session.state is not SessionState.WORKING or session.speed is None:
        return None
    speed: int = session.speed
    return speed if at - session.measured_at < _SILENT else 0


def seconds_left(session: Row, at: datetime) -> int | None:
    """Seconds until a session will have verified everything; None if nobody can tell, or if it is overdue."""
    if session.state is not SessionState.WORKING or session.expected_end is None or session.expected_end < at:
        return None
    left: timedelta = session.expected_end - at
    return math.ceil(left.total_seconds())


def _averaged(rate: float | None, weight: float, size: int, seconds: float) -> tuple[float, float]:
    """A rate and its weight after ``size`` more bytes in so many more seconds."""
    kept = weight * math.exp(-seconds / _MEMORY_SECONDS)
    return ((rate or 0.0) * kept + size) / (kept + seconds), kept + seconds


def _smoothed(speed: int | None, present: float, seconds: float) -> int:
    if speed is None:
        return round(present)
    return round(speed + (1 - math.exp(-seconds / _SPEED_SECONDS)) * (present - speed))


def _left(connection: Connection, rates: Row, values: dict[str, Any], disks: Sequence[Row]) -> float | None:
    """Seconds until all disks that have not ended are copied and verified; None if nobody can tell."""
    going = [disk for disk in disks if disk.result is SessionResult.NONE]
    to_copy = sum(max(0, disk.planned_bytes - disk.copied_bytes) for disk in going)
    to_verify = sum(max(0, disk.planned_bytes - disk.verified_bytes) for disk in going)
    copy_rate = values.get("copy_rate", rates.copy_rate)
    verify_rate = values.get("verify_rate", rates.verify_rate)
    if not verify_rate and to_verify:
        verify_rate = (
            _usual(connection, restore_rates.c.verify_rate, rates.repository_id, rates.host_id) or copy_rate
        )
    if not copy_rate and to_copy:
        copy_rate = _usual(connection, restore_rates.c.copy_rate, rates.repository_id, rates.host_id)
    if (to_copy and not copy_rate) or (to_verify and not verify_rate):
        return None
    return (to_copy / copy_rate if to_copy else 0.0) + (to_verify / verify_rate if to_verify else 0.0)


def _usual(
    connection: Connection, rate: sa.Column[Any], repository_id: UUID | None, host_id: UUID
) -> float | None:
    """The median of the last restores' rates: of those between the two if there are any, else of all."""
    newest = sa.select(rate).where(rate > 0).order_by(restore_rates.c.measured_at.desc()).limit(_EARLIER)
    alike = newest.where(restore_rates.c.repository_id == repository_id, restore_rates.c.host_id == host_id)
    for statement in (alike, newest):
        found = connection.execute(statement).scalars().all()
        if found:
            return float(median(found))
    return None


def _sample(
    connection: Connection, session: Row, at: datetime, copied: int, verified: int, *, ended: bool
) -> None:
    """Note how far it is, in moments that are the further apart the longer it takes."""
    mine = restore_samples.c.session_id == session.id
    times = (
        connection.execute(sa.select(restore_samples.c.at).where(mine).order_by(restore_samples.c.at))
        .scalars()
        .all()
    )
    if times:
        apart = (times[-1] - times[0]) / (MOST_SAMPLES / 2)
        if at <= times[-1] or (at - times[-1] < apart and not ended):
            return
    if len(times) >= MOST_SAMPLES:
        connection.execute(sa.delete(restore_samples).where(mine, restore_samples.c.at.in_(times[1:-1:2])))
    connection.execute(
        sa.insert(restore_samples).values(
            session_id=session.id, at=at, phase=session.phase, copied_bytes=copied, verified_bytes=verified
        )
    )


def _note(connection: Connection, session_id: UUID, values: dict[str, Any]) -> None:
    connection.execute(
        sa.update(restore_sessions)
        .where(restore_sessions.c.id == session_id, restore_sessions.c.state != SessionState.STOPPED)
        .values(values)
    )
