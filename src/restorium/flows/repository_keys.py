"""The keys of a repository, and the one among them that the server opens it with."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from restorium.catalog import repositories
from restorium.flows.engine import Engine
from restorium.vault import Key, Keys, KeySlot, Vault
from restorium.vocabulary.errors import Conflict


@dataclass(frozen=True, slots=True)
class RepositoryKey:
    """``servers_own``: the server opens the repository with it."""

    name: str
    kind: str
    servers_own: bool


def list_keys(engine: Engine, repository_id: UUID) -> list[RepositoryKey]:
    """Raises NotFound and the vault's errors, as all functions here do."""
    keys = _keys(engine, repository_id)
    own = keys.own()
    return [_shown(slot, own) for slot in keys.all()]


def add(engine: Engine, repository_id: UUID, key: Key) -> RepositoryKey:
    """Let a key open the repository too. Raises Conflict if it does already."""
    keys = _keys(engine, repository_id)
    return _shown(keys.add(key), keys.own())


def remove(engine: Engine, repository_id: UUID, name: str) -> None:
    """Raises NotFound, and Conflict for the key that the server opens the repository with."""
    keys = _keys(engine, repository_id)
    if keys.own().name == name:
        raise Conflict(
            f"the server opens the repository with key {name}",
            hint="Give the server another key first: rotate it.",
        )
    keys.remove(name)


def rotate(engine: Engine, repository_id: UUID, key: Key) -> RepositoryKey:
    """Put ``key`` in the place of the one that the server opens the repository with, which then opens nothing.

    A crash in between leaves both keys, never none that the server has.
    """
    keys = _keys(engine, repository_id)
    old = keys.own()
    made = keys.add(key)
    with engine.database.write() as connection:
        secret = engine.secrets.seal(repository_id, key.to_bytes())
        repositories.set_secret(connection, repository_id, secret)
    _keys(engine, repository_id).remove(old.name)
    return _shown(made, made)


def protect(engine: Engine, repository_id: UUID, days: int) -> None:
    """Let no point that is made from now on be deleted before it is so many days old. Raises InvalidInput."""
    _keys(engine, repository_id).protect(days)


def _keys(engine: Engine, repository_id: UUID) -> Keys:
    with engine.database.read() as connection:
        row = repositories.get(connection, repository_id)
    return Vault.keys(row.url, Key.from_bytes(engine.secrets.open(repository_id, row.secret)))


def _shown(slot: KeySlot, own: KeySlot) -> RepositoryKey:
    return RepositoryKey(slot.name, slot.kind, slot.name == own.name)
