"""The disks of a restore session: how far each is, and with them the session's progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rates, rows
from restorium.catalog.listing import Row
from restorium.catalog.tables import restore_disks, restore_sessions
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState, progress_percent


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk to restore. ``size`` is what the VM sees, ``planned_bytes`` what of it holds data."""

    key: str
    size: int
    planned_bytes: int


def plan(connection: Connection, session_id: UUID, planned: Sequence[NewDisk]) -> None:
    """Record the disks of a session, and in their sum how much there is to do. Again changes nothing.

    Raises NotFound.
    """
    session = rows.locked(connection, restore_sessions, "restore session", session_id)
    if disks(connection, session_id):
        return
    for position, disk in enumerate(planned):
        connection.execute(
            sa.insert(restore_disks).values(
                session_id=session_id,
                disk_key=disk.key,
                position=position,
                size=disk.size,
                planned_bytes=disk.planned_bytes,
                checkpoint=0,
                copied_bytes=0,
                verified_bytes=0,
                result=SessionResult.NONE,
            )
        )
    total = sum(disk.planned_bytes for disk in planned)
    connection.execute(
        sa.update(restore_sessions).where(restore_sessions.c.id == session_id).values(planned_bytes=total)
    )
    rates.begin(connection, session, total)


def disks(connection: Connection, session_id: UUID) -> Sequence[Row]:
    """The session's disks in order; none before they are planned."""
    return connection.execute(
        sa.select(restore_disks)
        .where(restore_disks.c.session_id == session_id)
        .order_by(restore_disks.c.position)
    ).all()


def record_disk(
    connection: Connection,
    session_id: UUID,
    disk_key: str,
    *,
    checkpoint: int = 0,
    copied_bytes: int = 0,
    verified_bytes: int = 0,
    result: SessionResult | None = None,
    reason: str | None = None,
    digest: str | None = None,
) -> None:
    """Note how far a disk is, as totals in bytes. What is less than noted before leaves it as it was.

    checkpoint: everything of the disk below this offset is written and flushed. reason and digest: noted with a
    result. Raises NotFound.
    """
    session = rows.locked(connection, restore_sessions, "restore session", session_id)
    reached = {"checkpoint": checkpoint, "copied_bytes": copied_bytes, "verified_bytes": verified_bytes}
    values: dict[str, Any] = {name: _raised(restore_disks.c[name], value) for name, value in reached.items()}
    if result is not None:
        values |= {"result": result, "reason": reason, "digest": digest}
    statement = (
        sa.update(restore_disks)
        .where(restore_disks.c.session_id == session_id, restore_disks.c.disk_key == disk_key)
        .values(values)
    )
    if not connection.execute(statement).rowcount:
        raise NotFound(f"restore session {session_id} has no disk {disk_key!r}")
    _record_progress(connection, session, ended=result is not None)


def restart_disk(connection: Connection, session_id: UUID, disk_key: str) -> None:
    """Forget how far a disk was, because its image is gone. The session's own progress stays where it was."""
    connection.execute(
        sa.update(restore_disks)
        .where(restore_disks.c.session_id == session_id, restore_disks.c.disk_key == disk_key)
        .values(checkpoint=0, copied_bytes=0, verified_bytes=0)
    )


def _record_progress(connection: Connection, session: Row, *, ended: bool) -> None:
    """A byte is half done when it is copied, and done when it is verified; of an instant restore when it is copied.

    Of a disk that failed no more is planned.
    """
    found = disks(connection, session.id)
    passes = 1 if session.spec.get("instant") else 2
    reached = {disk.disk_key: disk.copied_bytes + disk.verified_bytes for disk in found}
    done = sum(reached.values()) // passes
    failed = {disk.disk_key for disk in found if disk.result is SessionResult.FAILED}
    goals = (
        reached[disk.disk_key] if disk.disk_key in failed else passes * disk.planned_bytes for disk in found
    )
    planned = sum(goals) // passes
    percent = progress_percent(done, planned, finished=False)
    connection.execute(
        sa.update(restore_sessions)
        .where(restore_sessions.c.id == session.id, restore_sessions.c.state != SessionState.STOPPED)
        .values(
            planned_bytes=planned,
            done_bytes=_raised(restore_sessions.c.done_bytes, done),
            progress=_raised(restore_sessions.c.progress, percent),
        )
    )
    rates.measure(connection, session, found, ended=ended)


def _raised(column: sa.ColumnElement[Any], value: int) -> sa.ColumnElement[Any]:
    return sa.case((column < value, value), else_=column)
