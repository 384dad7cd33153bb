"""The names of manifests in repositories: those that a backup promises to write, and those that are to go.

A name is noted before anything is written under it, and each transaction that takes a name from a task session or a
restore point notes it as one to be removed. So whatever dies, and whoever does the same work twice, no manifest stays
of which nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows
from restorium.catalog.tables import expired_manifests, job_sessions, task_sessions, vm_restore_points


def promise(connection: Connection, session_id: UUID, task_id: UUID, vault_point: str, *, hold: str) -> bool:
    """Note what is about to be written for a task of a run; what was promised before is to go.

    False, and nothing noted, unless that hold of the run is the present one.
    """
    session = rows.locked(connection, job_sessions, "job session", session_id)
    if session.hold != hold:
        return False
    before = rows.get(connection, task_sessions, "task session", task_id).vault_point
    if before is not None:
        expire(connection, session.repository_id, [before])
    connection.execute(
        sa.update(task_sessions).where(task_sessions.c.id == task_id).values(vault_point=vault_point)
    )
    return True


def release(connection: Connection, session_id: UUID) -> None:
    """What a run promised, and no restore point holds now that it ends, is to go."""
    session = rows.get(connection, job_sessions, "job session", session_id)
    column = task_sessions.c.vault_point
    promised = sa.select(column).where(task_sessions.c.job_session_id == session_id, column.is_not(None))
    left = connection.execute(promised.where(_no_point_holds(column))).scalars().all()
    expire(connection, session.repository_id, left)


def expire(connection: Connection, repository_id: UUID, vault_points: Collection[str]) -> None:
    """Note manifests that are to be removed from a repository."""
    if not vault_points:
        return
    known = set(
        connection.execute(
            sa.select(expired_manifests.c.vault_point).where(
                expired_manifests.c.repository_id == repository_id
            )
        ).scalars()
    )
    noted = [{"repository_id": repository_id, "vault_point": name} for name in {*vault_points} - known]
    if noted:
        connection.execute(sa.insert(expired_manifests), noted)


def expired(connection: Connection, repository_id: UUID) -> Sequence[str]:
    """Names of manifests that are still to be removed from a repository, the oldest first."""
    column = expired_manifests.c.vault_point
    statement = sa.select(column).where(
        expired_manifests.c.repository_id == repository_id, _no_point_holds(column)
    )
    return connection.execute(statement.order_by(column)).scalars().all()


def removed(connection: Connection, repository_id: UUID, vault_point: str) -> None:
    """Note that a manifest is not in its repository any more."""
    connection.execute(
        sa.delete(expired_manifests).where(
            expired_manifests.c.repository_id == repository_id, expired_manifests.c.vault_point == vault_point
        )
    )


def _no_point_holds(vault_point: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.not_(sa.exists().where(vm_restore_points.c.vault_point == vault_point))
