"""Repositories: where backups are kept."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import repositories
from restorium.flows import repositories as flows
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import ADMINISTRATORS, MONITORS
from restorium.vault import Key

_KEY_BYTES = 32


class Passphrase(msgspec.Struct, tag_field="kind", tag="passphrase", forbid_unknown_fields=True):
    """A passphrase that opens the repository."""

    passphrase: str


class KeyFile(msgspec.Struct, tag_field="kind", tag="key-file", forbid_unknown_fields=True):
    """A key file's content, in base64."""

    content: bytes


class NewRepository(msgspec.Struct, forbid_unknown_fields=True):
    """``url`` as file:///FOLDER: the repository there, or a new one.

    key: what opens it; null lets the server make a key, which it alone then has.
    capacity_bytes: the most that the repository may grow to; null for no limit but the storage's.
    """

    name: str
    url: str
    key: Passphrase | KeyFile | None = None
    capacity_bytes: int | None = None


class Repository(msgspec.Struct):
    """``capacity_bytes`` and ``free_bytes`` are -1 where the storage cannot tell.

    prune_began_at, prune_outcome: of the last prune by the server; null before the first.
    """

    id: UUID
    name: str
    url: str
    kind: str
    quota_bytes: int | None
    capacity_bytes: int
    free_bytes: int
    created_at: datetime
    prune_began_at: datetime | None
    prune_outcome: str | None


def _add(call: Call) -> Repository:
    new: NewRepository = call.body
    repository_id = flows.add(call.engine, new.name, new.url, key_of(new.key), new.capacity_bytes)
    with call.engine.database.read() as connection:
        return show(repositories.get(connection, repository_id), Repository)


def _remove(call: Call) -> None:
    flows.remove(call.engine, call.id)


def _list(call: Call) -> Items[Repository]:
    with call.engine.database.read() as connection:
        rows = repositories.listing.page(
            connection, order=[("name", False)], limit=call.limit, visible=call.visible
        )
        return Items([show(row, Repository) for row in rows])


def key_of(given: Passphrase | KeyFile | None) -> Key:
    """The key that a request names; a new one for None."""
    match given:
        case Passphrase(passphrase=text):
            return Key.passphrase(text)
        case KeyFile(content=content):
            return Key.raw(content)
        case None:
            return Key.raw(secrets.token_bytes(_KEY_BYTES))


OPERATIONS = (
    Operation("GET", "/repositories", _list, MONITORS, query=("limit",)),
    Operation("DELETE", "/repositories/{id}", _remove, ADMINISTRATORS, status=204),
    Operation("POST", "/repositories", _add, ADMINISTRATORS, body=NewRepository, status=201),
)
