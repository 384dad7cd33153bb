"""Numbers of changes of restore sessions, and places in their order that a reader can go on from.

Triggers give a session the number of the transaction that changes it, one of its disks, or its events, in that
transaction. So nothing that writes has to think of it, in whatever process it is.

SQLite has one writer at a time: a counter is in the order of the commits. PostgreSQL numbers transactions as they
begin, and they become visible in any order, so a place there is a snapshot: the numbers below ``high`` but for those
that were still ``open``. What a later snapshot shows and an earlier one did not is then known exactly, and no writer
waits for another. SQLite's places are written alike, with nothing open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.filters import Compare
from restorium.catalog.tables import changes, restore_sessions
from restorium.vocabulary.errors import InvalidInput

_LARGEST = 2**63 - 1
_LONGEST = 16_384
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
        raise InvalidInput(f"{text[:100]!r} is no place among the changes of restore sessions", hint=_HINT)

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
    """The filter of a listing of restore sessions that keeps those changed after ``place``."""
    return Compare("change", ">", str(place))


def is_after(part: Compare) -> sa.ColumnElement[bool]:
    """The condition that ``after`` stands for."""
    place = Place.parse(str(part.value))
    number = restore_sessions.c.change
    if not place.open:
        return number >= place.high
    return sa.and_(number >= place.low, sa.or_(number >= place.high, number.in_(sorted(place.open))))


def settle(connection: Connection) -> None:
    """Give all sessions the number of now whose number the database has not come to yet.

    They have one if a PostgreSQL database was moved by a dump to a server that has counted less.
    """
    if connection.dialect.name == "postgresql":
        beyond = restore_sessions.c.change >= present(connection).high
        connection.execute(sa.update(restore_sessions).where(beyond).values(change=0))


def install(connection: Connection) -> None:
    """Make the triggers as the tables are declared now. Whoever has changed the tables calls it."""
    if connection.dialect.name == "sqlite" and connection.execute(sa.select(changes)).first() is None:
        connection.execute(sa.insert(changes).values(number=0))
    statements = _POSTGRESQL if connection.dialect.name == "postgresql" else _sqlite()
    for statement in statements:
        connection.exec_driver_sql(statement)


_POSTGRESQL = (
    """
    CREATE OR REPLACE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.change := pg_current_xact_id()::text::bigint;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION number_change_of_session() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE restore_sessions SET change = pg_current_xact_id()::text::bigint
        WHERE id = NEW.session_id AND change <> pg_current_xact_id()::text::bigint;
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS number_change ON restore_sessions",
    "CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON restore_sessions"
    " FOR EACH ROW EXECUTE FUNCTION number_change()",
    "DROP TRIGGER IF EXISTS number_change ON restore_disks",
    "CREATE TRIGGER number_change AFTER INSERT OR UPDATE ON restore_disks"
    " FOR EACH ROW EXECUTE FUNCTION number_change_of_session()",
    "DROP TRIGGER IF EXISTS number_change ON session_events",
    "CREATE TRIGGER number_change AFTER INSERT ON session_events"
    " FOR EACH ROW EXECUTE FUNCTION number_change_of_session()",
)


def _sqlite() -> Iterable[str]:
    own = ", ".join(column.name for column in restore_sessions.columns if column.name != "change")
    for event, table, key in (
        ("INSERT", "restore_sessions", "id"),
        (f"UPDATE OF {own}", "restore_sessions", "id"),
        ("INSERT", "restore_disks", "session_id"),
        ("UPDATE", "restore_disks", "session_id"),
        ("INSERT", "session_events", "session_id"),
    ):
        name = f"number_{event.split()[0].lower()}_{table}"
        yield f"DROP TRIGGER IF EXISTS {name}"
        yield (
            f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN"  # noqa: S608  our own names
            f" UPDATE changes SET number = number + 1;"
            f" UPDATE restore_sessions SET change = (SELECT number FROM changes) WHERE id = NEW.{key}; END"
        )


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)):
        return None
    return int(text) if int(text) <= _LARGEST else None
