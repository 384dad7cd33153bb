"""The rows of the audit log. What they say, and how they are chained, is no business of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import audit_head, audit_log

_ONE = 1
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry to keep: its ``content``, the ``hash`` that chains it, and what of it can be asked for."""

    content: str
    hash: bytes
    actor: str | None
    operation: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: of whom, of which operation, since and until when. What is None does not matter."""

    actor: str | None = None
    operation: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def append(connection: Connection, seal: Callable[[int, datetime, bytes | None], Sealed]) -> int:
    """Add an entry, sealed from its number, its moment and the hash before it, if any; gives its number.

    The head stays locked until the transaction ends, so that entries are chained in the order in which they become
    visible: make this the last statement of the transaction, lest others wait for it.
    """
    taken = (
        sa.update(audit_head)
        .where(audit_head.c.id == _ONE)
        .values(number=audit_head.c.number + 1)
        .returning(audit_head.c.number, audit_head.c.hash)
    )
    found = connection.execute(taken).one_or_none()
    if found is None:
        _make_head(connection)
        found = connection.execute(taken).one()
    number, previous = found
    at = now(connection)
    entry = seal(number, at, previous)
    connection.execute(
        sa.insert(audit_log).values(
            number=number,
            at=at,
            actor=entry.actor,
            operation=entry.operation,
            content=entry.content,
            hash=entry.hash,
        )
    )
    connection.execute(sa.update(audit_head).where(audit_head.c.id == _ONE).values(hash=entry.hash))
    return int(number)


def head(connection: Connection) -> Row | None:
    """How many entries were ever made, and the hash of the last: a row with number and hash."""
    return connection.execute(sa.select(audit_head)).one_or_none()


def page(connection: Connection, wanted: Wanted, *, before: int | None, limit: int) -> Sequence[Row]:
    """Entries, the newest first, those before entry ``before``."""
    statement = sa.select(audit_log).where(*_conditions(wanted)).order_by(audit_log.c.number.desc())
    if before is not None:
        statement = statement.where(audit_log.c.number < before)
    return connection.execute(statement.limit(limit)).all()


def stream(connection: Connection, wanted: Wanted | None = None) -> Iterator[Row]:
    """Entries in their order, fetched a thousand at a time."""
    statement = sa.select(audit_log).where(*_conditions(wanted or Wanted())).order_by(audit_log.c.number)
    with connection.execute(statement, execution_options={"yield_per": _CHUNK}) as result:
        yield from result


def _make_head(connection: Connection) -> None:
    """The head's row, before the first entry or where somebody has removed it: that of the last entry."""
    last = connection.execute(
        sa.select(audit_log.c.number, audit_log.c.hash).order_by(audit_log.c.number.desc()).limit(1)
    ).first()
    number, known = (0, None) if last is None else (last.number, last.hash)
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(audit_head).values(id=_ONE, number=number, hash=known))
    except IntegrityError:
        return  # another was quicker


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    log, found = audit_log.c, []
    if wanted.actor is not None:
        found.append(log.actor == wanted.actor)
    if wanted.operation is not None:
        found.append(log.operation == wanted.operation)
    if wanted.since is not None:
        found.append(log.at >= wanted.since)
    if wanted.until is not None:
        found.append(log.at < wanted.until)
    return found
