"""Sums over sessions, for metrics: of those that ended within a time, and of those that go on.

Both read an index from one place on, so they cost by what happened in that time, not by all that ever did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import tables
from restorium.catalog.listing import Row
from restorium.catalog.tables import job_sessions, restore_sessions

BUCKETS = (1, 10, 60, 300, 900, 3600, 14_400, 43_200, 86_400)
"""Upper ends of the spans, in seconds, by which durations are counted; there is one more for what is longer."""

_SECOND = 1_000_000


def restores_ended(connection: Connection, after: datetime | None, until: datetime) -> Sequence[Row]:
    """Restores that ended then: rows with kind, result, bucket, total, microseconds and bytes."""
    table = restore_sessions
    return _ended(
        connection,
        table,
        [table.c.job_type.label("kind"), table.c.result],
        [_big(sa.func.sum(table.c.done_bytes)).label("bytes")],
        after,
        until,
    )


def runs_ended(connection: Connection, after: datetime | None, until: datetime) -> Sequence[Row]:
    """Job sessions that ended then: rows with job_id, result, bucket, total, microseconds and the last's ended_at."""
    table = job_sessions
    last = sa.func.max(table.c.ended_at).label("ended_at")
    return _ended(connection, table, [table.c.job_id, table.c.result], [last], after, until)


def unfinished(connection: Connection, table: sa.Table) -> Sequence[Row]:
    """Sessions that go on: rows with state, total, and the oldest one's created_at."""
    oldest = sa.func.min(table.c.created_at).label("created_at")
    found: sa.Select[Any] = sa.select(table.c.state, sa.func.count().label("total"), oldest)
    return connection.execute(found.where(tables.unfinished(table)).group_by(table.c.state)).all()


def _ended(
    connection: Connection,
    table: sa.Table,
    by: list[sa.ColumnElement[Any]],
    sums: list[sa.ColumnElement[Any]],
    after: datetime | None,
    until: datetime,
) -> Sequence[Row]:
    # Instants are microseconds: their difference as such, not as the interval that SQLAlchemy makes of it.
    ended, created = (sa.type_coerce(table.c[name], sa.BigInteger) for name in ("ended_at", "created_at"))
    took = ended - created
    bucket = sa.case(
        *((took <= limit * _SECOND, place) for place, limit in enumerate(BUCKETS)), else_=len(BUCKETS)
    )
    statement: sa.Select[Any] = sa.select(
        *by,
        bucket.label("bucket"),
        sa.func.count().label("total"),
        _big(sa.func.sum(took)).label("microseconds"),
        *sums,
    ).where(table.c.ended_at <= until)
    if after is not None:
        statement = statement.where(table.c.ended_at > after)
    return connection.execute(statement.group_by(*by, bucket)).all()


def _big(total: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A sum that PostgreSQL would make a decimal."""
    return sa.cast(total, sa.BigInteger)
