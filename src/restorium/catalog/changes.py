"""Numbers of changes of sessions, and places in their order that a reader can go on from.

Triggers give a session the number of the transaction that changes it, one of its disks or VMs, or its events, in that
transaction. So nothing that writes has to think of it, in whatever process it is.

SQLite has one writer at a time: a counter is in the order of the commits. PostgreSQL numbers transactions as they
begin, and they become visible in any order, so a place there is a snapshot: the numbers below ``high`` but for those
that were still ``open``. What a later snapshot shows and an earlier one did not is then known exactly, and no writer
waits for another. SQLite's places are written alike, with nothing open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.filters import Compare, Special
from restorium.catalog.tables import (
    changes,
    drill_runs,
    drill_vms,
    job_sessions,
    restore_disks,
    restore_sessions,
    session_events,
    task_sessions,
)
from restorium.vocabulary.errors import InvalidInput

_LARGEST = 2**63 - 1
_LONGEST = 16_384
_SESSIONS = (restore_sessions, job_sessions, drill_runs)
_PARTS = (
    (restore_disks.c.session_id, restore_sessions),
    (task_sessions.c.job_session_id, job_sessions),
    (drill_vms.c.run_id, drill_runs),
)
"""What belongs to a session: the column that names it, and its table."""
_HINT = "Leave it out to begin with the present state."


@dataclass(frozen=True, slots=True)
class Place:
    """All changes with a number below ``high`` but those in ``open``, of which none is below ``low``."""

    low: int
    high: int
    open: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidInput for what no place is written as."""
        parts = text.split(":") if len(text) <= _LONGEST else []
        if len(parts) == 3:
            open_numbers = parts[2].split(",") if parts[2] else []
            numbers = [_number(part) for part in (*parts[:2], *open_numbers)]
            low, high, *rest = (-1 if number is None else number for number in numbers)
            if None not in numbers and low <= high and all(low <= number < high for number in rest):
                return cls(low, high, frozenset(rest))
        raise InvalidInput(f"{text[:100]!r} is no place among the changes of sessions", hint=_HINT)

    def __str__(self) -> str:
        return f"{self.low}:{self.high}:{','.join(map(str, sorted(self.open)))}"

    def covers(self, number: int) -> bool:
        """Whether the change of that number is before this place."""
        return number < self.high and number not in self.open

    def includes(self, other: Place) -> bool:
        """Whether this place is surely not before ``other``."""
        return self == other or self.low >= other.high


def present(connection: Connection) -> Place:
    """The place of the connection's snapshot."""
    if connection.dialect.name == "postgresql":
        return Place.parse(connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one())
    following = connection.execute(sa.select(changes.c.number)).scalar_one() + 1
    return Place(following, following)


def after(place: Place) -> Compare:
    """The filter of a listing of sessions that keeps those changed after ``place``."""
    return Compare("change", ">", str(place))


def is_after(table: sa.Table) -> Special:
    """How a listing of these sessions reads what ``after`` gives."""
    number = table.c.change

    def condition(part: Compare) -> sa.ColumnElement[bool]:
        place = Place.parse(str(part.value))
        if not place.open:
            return number >= place.high
        return sa.and_(number >= place.low, sa.or_(number >= place.high, number.in_(sorted(place.open))))

    return condition


def settle(connection: Connection) -> None:
    """Give all sessions the number of now whose number the database has not come to yet.

    They have one if a PostgreSQL database was moved by a dump to a server that has counted less.
    """
    if connection.dialect.name == "postgresql":
        high = present(connection).high
        for table in _SESSIONS:
            connection.execute(sa.update(table).where(table.c.change >= high).values(change=0))


def install(connection: Connection) -> None:
    """Make the triggers as the tables are declared now. Whoever has changed the tables calls it."""
    if connection.dialect.name == "sqlite" and connection.execute(sa.select(changes)).first() is None:
        connection.execute(sa.insert(changes).values(number=0))
    statements = _postgresql() if connection.dialect.name == "postgresql" else _sqlite()
    for statement in statements:
        connection.exec_driver_sql(statement)


def _postgresql() -> Iterable[str]:
    yield """
        CREATE OR REPLACE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.change := pg_current_xact_id()::text::bigint;
            RETURN NEW;
        END $$
    """
    for table in _SESSIONS:
        yield f"DROP TRIGGER IF EXISTS number_change ON {table.name}"
        yield (
            f"CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON {table.name}"
            " FOR EACH ROW EXECUTE FUNCTION number_change()"
        )
    for part, event, owners in _parts():
        body = " ".join(
            f"UPDATE {owner.name} SET change = pg_current_xact_id()::text::bigint"  # noqa: S608  our own names
            f" WHERE id = NEW.{part.name} AND change <> pg_current_xact_id()::text::bigint;"
            for owner in owners
        )
        name = f"number_change_of_{part.table.name}"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {body} RETURN NULL; END $$"
        )
        yield f"DROP TRIGGER IF EXISTS number_change ON {part.table.name}"
        yield (
            f"CREATE TRIGGER number_change AFTER {' OR '.join(event)} ON {part.table.name}"
            f" FOR EACH ROW EXECUTE FUNCTION {name}()"
        )


def _sqlite() -> Iterable[str]:
    for table in _SESSIONS:
        own = ", ".join(column.name for column in table.columns if column.name != "change")
        for event in ("INSERT", f"UPDATE OF {own}"):
            yield from _sqlite_trigger(table.c.id, event, [table])
    for part, events, owners in _parts():
        for event in events:
            yield from _sqlite_trigger(part, event, owners)


def _sqlite_trigger(part: sa.Column[Any], event: str, owners: Sequence[sa.Table]) -> Iterable[str]:
    name = f"number_{event.split()[0].lower()}_{part.table.name}"
    body = " ".join(
        f"UPDATE {owner.name} SET change = (SELECT number FROM changes) WHERE id = NEW.{part.name};"  # noqa: S608
        for owner in owners
    )
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield (
        f"CREATE TRIGGER {name} AFTER {event} ON {part.table.name} BEGIN"  # noqa: S608  our own names
        f" UPDATE changes SET number = number + 1; {body} END"
    )


def _parts() -> Iterable[tuple[sa.Column[Any], Sequence[str], Sequence[sa.Table]]]:
    """What changes a session when it is changed: the column that names it, how, and the tables that it may be in."""
    for part, owner in _PARTS:
        yield part, ("INSERT", "UPDATE"), [owner]
    yield session_events.c.session_id, ("INSERT",), _SESSIONS


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)):
        return None
    return int(text) if int(text) <= _LARGEST else None
