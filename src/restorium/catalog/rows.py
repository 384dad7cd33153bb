"""Small things that every aggregate does with its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from restorium.catalog.filters import storable
from restorium.catalog.surroundings import new_id, now
from restorium.vocabulary.errors import Conflict, InvalidInput, NotFound

Row = sa.Row[Any]

_NAME_CHARACTERS = 256


def named(kind: str, name: str) -> str:
    """``name`` without blanks around it. Raises InvalidInput if it is empty, too long or unprintable."""
    name = name.strip()
    if not name or len(name) > _NAME_CHARACTERS or not storable(name) or not name.isprintable():
        raise InvalidInput(
            f"{name!r} cannot be the name of a {kind}",
            hint=f"Names have 1 to {_NAME_CHARACTERS} printable characters.",
        )
    return name


def check_free(connection: Connection, table: sa.Table, kind: str, name: str) -> None:
    """Raises what ``add`` would for that name, as far as can be told now: InvalidInput, Conflict."""
    name = named(kind, name)
    if exists(connection, table.c.name == name):
        raise _taken(kind, name)


def get(connection: Connection, table: sa.Table, kind: str, key: UUID) -> Row:
    """The row of that id. Raises NotFound."""
    return _found(connection.execute(sa.select(table).where(table.c.id == key)).one_or_none(), kind, key)


def locked(connection: Connection, table: sa.Table, kind: str, key: UUID) -> Row:
    """The row of that id, which nobody else changes until this transaction ends. Raises NotFound."""
    statement = sa.select(table).where(table.c.id == key).with_for_update()
    return _found(connection.execute(statement).one_or_none(), kind, key)


def add(connection: Connection, table: sa.Table, kind: str, values: Mapping[str, Any]) -> Row:
    """Insert a row, with a new id unless one is given. Raises Conflict if its name is taken."""
    complete = {"id": new_id(connection), "created_at": now(connection)} | dict(values)
    try:
        with connection.begin_nested():
            return connection.execute(sa.insert(table).values(complete).returning(*table.columns)).one()
    except IntegrityError:
        raise _taken(kind, values["name"]) from None


def change(connection: Connection, table: sa.Table, kind: str, key: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of a row. Raises NotFound, and Conflict if its new name is taken."""
    try:
        with connection.begin_nested():
            found = connection.execute(sa.update(table).where(table.c.id == key).values(dict(values)))
    except IntegrityError:
        raise _taken(kind, values.get("name")) from None
    if not found.rowcount:
        raise NotFound(f"there is no {kind} {key}")


def remove(connection: Connection, table: sa.Table, kind: str, key: UUID) -> None:
    """Delete a row. Raises NotFound, and Conflict if others still refer to it."""
    try:
        with connection.begin_nested():
            gone = connection.execute(sa.delete(table).where(table.c.id == key)).rowcount
    except IntegrityError:
        raise Conflict(f"{kind} {key} is still in use", hint="Remove what refers to it first.") from None
    if not gone:
        raise NotFound(f"there is no {kind} {key}")


def exists(connection: Connection, condition: sa.ColumnElement[bool]) -> bool:
    """Whether a row is there of which ``condition`` holds; it names the table."""
    return connection.execute(sa.select(sa.literal(1)).where(condition).limit(1)).first() is not None


def _taken(kind: str, name: str | None) -> Conflict:
    return Conflict(f"a {kind} named {name!r} exists already", hint="Choose another name.")


def _found(row: Row | None, kind: str, key: UUID) -> Row:
    if row is None:
        raise NotFound(f"there is no {kind} {key}")
    return row
