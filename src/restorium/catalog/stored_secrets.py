"""Credentials, and passwords that backups may be encrypted with. ``flows`` seals the secrets before they come here."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.filters import storable
from restorium.catalog.listing import Listing, Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import credentials, hosts, password_keys
from restorium.catalog.text import guid_text
from restorium.vocabulary.errors import Conflict, InvalidInput

_CREDENTIALS = "credentials"
_PASSWORD = "password key"  # noqa: S105  what it is called
_MOST_CHARACTERS = 1024


def add_credentials(
    connection: Connection, credentials_id: UUID, *, username: str, description: str, secret: bytes
) -> Row:
    """Keep a user name with its sealed password, into which the id is bound. Raises InvalidInput."""
    values = {
        "id": credentials_id,
        "username": rows.named("user", username),
        "description": _text("Description", description),
        "secret": secret,
    }
    return rows.add(connection, credentials, _CREDENTIALS, values)


def change_credentials(
    connection: Connection,
    credentials_id: UUID,
    *,
    username: str | None = None,
    description: str | None = None,
    secret: bytes | None = None,
) -> None:
    """Change what is not None. Raises NotFound, InvalidInput."""
    values: dict[str, object] = {}
    if username is not None:
        values["username"] = rows.named("user", username)
    if description is not None:
        values["description"] = _text("Description", description)
    if secret is not None:
        values["secret"] = secret
    rows.get(connection, credentials, _CREDENTIALS, credentials_id)
    if values:
        rows.change(connection, credentials, _CREDENTIALS, credentials_id, values)


def remove_credentials(connection: Connection, credentials_id: UUID) -> None:
    """Raises NotFound, and Conflict while a host is reached with them."""
    host = connection.execute(
        sa.select(hosts.c.name).where(hosts.c.credentials_id == credentials_id)
    ).scalar()
    if host is not None:
        raise Conflict(f"host {host!r} is reached with these credentials", hint="Remove the host first.")
    rows.remove(connection, credentials, _CREDENTIALS, credentials_id)


def add_password(connection: Connection, password_id: UUID, *, hint: str, secret: bytes) -> Row:
    """Keep a sealed password, into which the id is bound. Raises InvalidInput."""
    values = {
        "id": password_id,
        "hint": _text("Hint", hint),
        "secret": secret,
        "modified_at": now(connection),
    }
    return rows.add(connection, password_keys, _PASSWORD, values)


def get_password(connection: Connection, password_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, password_keys, _PASSWORD, password_id)


def change_hint(connection: Connection, password_id: UUID, hint: str) -> None:
    """Raises NotFound, InvalidInput."""
    values = {"hint": _text("Hint", hint), "modified_at": now(connection)}
    rows.change(connection, password_keys, _PASSWORD, password_id, values)


def remove_password(connection: Connection, password_id: UUID) -> None:
    """Raises NotFound."""
    rows.remove(connection, password_keys, _PASSWORD, password_id)


def _text(name: str, value: str) -> str:
    if len(value) > _MOST_CHARACTERS or not storable(value):
        raise InvalidInput(
            f"the {name} cannot be kept", hint=f"Write up to {_MOST_CHARACTERS} characters, none of them NUL."
        )
    return value


def _listing(table: sa.Table, *names: str) -> Listing:
    own = {name: table.c[name] for name in names}
    return Listing(
        {"id": table.c.id, "text_id": guid_text(table.c.id)} | own | servers.PARENT, servers.joined(table)
    )


credentials_listing = _listing(credentials, "username", "description")
password_listing = _listing(password_keys, "hint", "modified_at")
"""Neither has the secret."""
