"""The backup server: one row, this installation, made when the database is first opened."""

from __future__ import annotations

import socket
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium import __version__
from restorium.catalog.filters import storable
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.surroundings import new_id
from restorium.catalog.tables import backup_servers
from restorium.vocabulary.errors import InvalidInput

PARENT: dict[str, sa.ColumnElement[Any]] = {
    "backup_server_id": backup_servers.c.id,
    "backup_server_name": backup_servers.c.name,
}
"""The columns by which every other listing names its backup server."""

_DEFAULT_PORT = 9398
_MOST_CHARACTERS = 1024


def joined(source: sa.FromClause) -> sa.FromClause:
    """``source`` with the backup server beside each row."""
    return source.join(backup_servers, sa.true())


def ensure(connection: Connection) -> None:
    """Make the row unless it is there."""
    if connection.execute(sa.select(backup_servers.c.id)).first() is None:
        row = {"id": new_id(connection), "name": socket.gethostname(), "description": "Restorium"}
        connection.execute(sa.insert(backup_servers).values(**row, port=_DEFAULT_PORT, version=__version__))


def describe(connection: Connection, *, name: str, port: int) -> None:
    """Record under which name and port this installation serves, and its version."""
    connection.execute(sa.update(backup_servers).values(name=name, port=port, version=__version__))


def describe_as(connection: Connection, description: str) -> None:
    """Set the description. Raises InvalidInput for what cannot be kept."""
    if len(description) > _MOST_CHARACTERS or not storable(description):
        raise InvalidInput(
            "the description cannot be kept",
            hint=f"Write up to {_MOST_CHARACTERS} characters, none of them NUL.",
        )
    connection.execute(sa.update(backup_servers).values(description=description))


def get(connection: Connection) -> Row:
    """The row."""
    return connection.execute(sa.select(backup_servers)).one()


listing = Listing(columns_of(backup_servers) | PARENT, backup_servers)
