"""Adding repositories."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import UUID

from restorium.catalog import repositories as rows
from restorium.flows.engine import Engine
from restorium.vault import Key, Vault
from restorium.vocabulary.errors import InvalidInput, NotAVault

_LOCAL = "local"


def add(engine: Engine, name: str, url: str, key: Key, quota_bytes: int | None = None) -> UUID:
    """Add the vault at ``url``, made there if there is none, as a repository; gives its id.

    url: as Vault.open takes it. quota_bytes: the most that it may take; None for no limit but the storage's.
    The key is kept sealed. Raises InvalidInput, WrongKey, StorageUnavailable, and Conflict if the name is
    taken.
    """
    if quota_bytes is not None and quota_bytes <= 0:
        raise InvalidInput(
            f"a repository cannot be limited to {quota_bytes} bytes", hint="Give a larger limit."
        )
    scheme = urlsplit(url).scheme
    repository_id = engine.clock.new_id()
    opened: Vault | None = None
    try:
        # In one transaction: a name that is refused must leave no vault behind, whose key nobody may have.
        with engine.database.write() as connection:
            rows.add(
                connection,
                name=name,
                url=url,
                kind=_LOCAL if scheme == "file" else scheme,
                secret=engine.secrets.seal(repository_id, key.to_bytes()),
                quota_bytes=quota_bytes,
                repository_id=repository_id,
            )
            opened = _open_or_create(engine, url, key, quota_bytes)
            usage = opened.usage()
            rows.record_usage(
                connection, repository_id, capacity_bytes=usage.capacity_bytes, free_bytes=usage.free_bytes
            )
    finally:
        if opened is not None:
            opened.close()
    return repository_id


def _open_or_create(engine: Engine, url: str, key: Key, quota_bytes: int | None) -> Vault:
    try:
        return Vault.open(url, key, quota_bytes=quota_bytes, cache=engine.cache_folder)
    except NotAVault:
        return Vault.create(url, key, quota_bytes=quota_bytes, cache=engine.cache_folder)
