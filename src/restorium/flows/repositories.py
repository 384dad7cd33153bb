"""Adding repositories, removing them, and what room they have."""

from __future__ import annotations

from contextlib import closing
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
    with engine.database.read() as connection:
        rows.check_name(connection, name)  # one that is refused leaves no vault behind, whose key nobody has
    repository_id = engine.clock.new_id()
    # Outside any transaction: keys are slow to derive and storage may be far away.
    with closing(_open_or_create(engine, url, key, quota_bytes)) as opened:
        usage = opened.usage()
    scheme = urlsplit(url).scheme
    with engine.database.write() as connection:
        rows.add(
            connection,
            name=name,
            url=url,
            kind=_LOCAL if scheme == "file" else scheme,
            secret=engine.secrets.seal(repository_id, key.to_bytes()),
            quota_bytes=quota_bytes,
            capacity_bytes=usage.capacity_bytes,
            free_bytes=usage.free_bytes,
            repository_id=repository_id,
        )
    return repository_id


def remove(engine: Engine, repository_id: UUID) -> None:
    """Forget a repository and its key; what is in it stays where it is, and can be added again.

    Raises NotFound, and Conflict while a job uses it or it holds restore points.
    """
    with engine.database.write() as connection:
        rows.remove(connection, repository_id)
    engine.forget_vault(repository_id)


def record_usage(engine: Engine, repository_id: UUID) -> None:
    """Note what room the repository's storage has now. Raises NotFound and the vault's errors."""
    usage = engine.vault(repository_id).usage()
    with engine.database.write() as connection:
        rows.record_usage(
            connection, repository_id, capacity_bytes=usage.capacity_bytes, free_bytes=usage.free_bytes
        )


def _open_or_create(engine: Engine, url: str, key: Key, quota_bytes: int | None) -> Vault:
    try:
        return Vault.open(url, key, quota_bytes=quota_bytes, cache=engine.cache_folder)
    except NotAVault:
        return Vault.create(url, key, quota_bytes=quota_bytes, cache=engine.cache_folder)
