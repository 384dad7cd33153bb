"""Mounts: open views of the files in a restore point. Each belongs to one logon session and ends with it.

A mount has a restore session, whose id is its own, and a number that counts from 1 in its logon session and restore
point; 0 is its browse in the catalog of VMs, of which there is one. Invariant: an unfinished file-level restore
session without a mount is one to be closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import tables
from restorium.catalog.listing import Row
from restorium.catalog.logons import Logon
from restorium.catalog.surroundings import now
from restorium.catalog.tables import logon_sessions, mounts, restore_sessions
from restorium.vocabulary.errors import NotAuthenticated, NotFound
from restorium.vocabulary.sessions import RestoreKind

BROWSE = 0
"""The number of a restore point's browse in the catalog of VMs."""


def hold(connection: Connection, logon: Logon) -> None:
    """Keep others from making mounts of the logon session, and it from ending, until this transaction ends.

    Raises NotAuthenticated if it has ended.
    """
    alive = sa.update(logon_sessions).where(logon_sessions.c.token_hash == logon.token_hash)
    if not connection.execute(alive.values(last_seen_at=now(connection))).rowcount:
        raise NotAuthenticated("the logon session has ended")


def create(
    connection: Connection, logon: Logon, point_id: UUID, session_id: UUID, *, number: int | None = None
) -> Row:
    """A mount under that number, the next if None. The logon session is to be held."""
    last = sa.select(sa.func.coalesce(sa.func.max(mounts.c.number), 0)).where(_of(logon, point_id))
    values = {
        "session_id": session_id,
        "token_hash": logon.token_hash,
        "vm_restore_point_id": point_id,
        "number": connection.execute(last).scalar_one() + 1 if number is None else number,
        "created_at": now(connection),
    }
    return connection.execute(sa.insert(mounts).values(values).returning(*mounts.columns)).one()


def get(connection: Connection, logon: Logon, point_id: UUID, number: int) -> Row:
    """Raises NotFound, also for the mounts of other logon sessions."""
    row = find(connection, logon, point_id, number)
    if row is None:
        raise NotFound(
            f"this logon session has no mount {number} of restore point {point_id}",
            hint="A mount ends with the logon session that made it: mount the restore point again.",
        )
    return row


def find(connection: Connection, logon: Logon, point_id: UUID, number: int) -> Row | None:
    """None if the logon session has no such mount."""
    wide = sa.bindparam(None, min(number, 2**31 - 1), type_=sa.BigInteger, unique=True)
    return connection.execute(
        sa.select(mounts).where(_of(logon, point_id), mounts.c.number == wide)
    ).one_or_none()


def of_point(connection: Connection, logon: Logon, point_id: UUID) -> Sequence[Row]:
    """The logon session's mounts of a restore point, by number, without its browse."""
    return connection.execute(
        sa.select(mounts).where(_of(logon, point_id), mounts.c.number > BROWSE).order_by(mounts.c.number)
    ).all()


def any_open(connection: Connection) -> bool:
    """Whether there is a mount at all."""
    return connection.execute(sa.select(sa.literal(1)).select_from(mounts).limit(1)).first() is not None


def remove(connection: Connection, session_id: UUID) -> bool:
    """False if there is none any more."""
    gone = connection.execute(sa.delete(mounts).where(mounts.c.session_id == session_id))
    return gone.rowcount == 1


def to_end(connection: Connection) -> Sequence[Row]:
    """The restore sessions of mounts that are gone, and of those that are asked to stop."""
    has_mount = sa.exists(sa.select(sa.literal(1)).where(mounts.c.session_id == restore_sessions.c.id))
    found = sa.select(restore_sessions).where(
        tables.unfinished(restore_sessions),
        restore_sessions.c.job_type == RestoreKind.FILE_LEVEL,
        sa.or_(~has_mount, restore_sessions.c.cancel_requested),
    )
    return connection.execute(found).all()


def _of(logon: Logon, point_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(mounts.c.token_hash == logon.token_hash, mounts.c.vm_restore_point_id == point_id)
