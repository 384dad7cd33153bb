"""Signed records of restores, and the keys that sign them. What they say is no business of the database."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import backup_servers, evidence, evidence_keys


def put(connection: Connection, session_id: UUID, document: str) -> None:
    """Keep a restore session's record, as long as the session is kept. A session has one."""
    connection.execute(sa.insert(evidence).values(session_id=session_id, document=document))


def find(connection: Connection, session_id: UUID) -> str | None:
    """A session's record; None if it has none."""
    found: str | None = connection.execute(
        sa.select(evidence.c.document).where(evidence.c.session_id == session_id)
    ).scalar_one_or_none()
    return found


def hold_keys(connection: Connection) -> None:
    """Keep others from adding and retiring keys until this transaction ends."""
    connection.execute(sa.select(backup_servers.c.id).with_for_update())


def current_key(connection: Connection) -> Row | None:
    """The key that signs; None if there has never been one."""
    return connection.execute(
        sa.select(evidence_keys).where(evidence_keys.c.retired_at.is_(None))
    ).one_or_none()


def keys(connection: Connection) -> Sequence[Row]:
    """All that ever signed, the one that does first, then the newest."""
    return connection.execute(
        sa.select(evidence_keys).order_by(
            evidence_keys.c.retired_at.is_not(None), evidence_keys.c.created_at.desc(), evidence_keys.c.id
        )
    ).all()


def add_key(connection: Connection, key_id: UUID, public_key: bytes, secret: bytes) -> Row:
    """The key that signs from now on, its secret sealed. The one that did is retired, and its secret forgotten."""
    at = now(connection)
    connection.execute(
        sa.update(evidence_keys)
        .where(evidence_keys.c.retired_at.is_(None))
        .values(retired_at=at, secret=None)
    )
    values = {"id": key_id, "public_key": public_key, "secret": secret, "created_at": at}
    return connection.execute(sa.insert(evidence_keys).values(values).returning(*evidence_keys.columns)).one()
