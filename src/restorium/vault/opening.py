"""The configuration on its storage: read, made, changed, and mended from its copy.

It is the one object that changes, and without it all is lost. So it lies there twice: ``config``, and ``config.copy``,
which is written after it and read only where ``config`` is missing or damaged.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from restorium.vault import config
from restorium.vault.config import KeySlot, Unlocked
from restorium.vault.keys import Key, Keyring, RandomBytes
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import (
    Conflict,
    DataCorrupt,
    InvalidInput,
    NotAVault,
    NotFound,
    Unsupported,
    VaultExists,
    WrongKey,
)

NAME, COPY = "config", "config.copy"
MOST_DAYS = 36500


def make(storage: Storage, key: Key, random_bytes: RandomBytes) -> None:
    """Raises VaultExists, StorageUnavailable, RepositoryFull."""
    content = config.create(key, random_bytes)
    try:
        storage.put(NAME, content)
    except Conflict as error:
        raise VaultExists(f"there is a vault at {storage.url} already") from error
    storage.replace(COPY, content, None)


def load(storage: Storage, key: Key) -> Unlocked:
    """Raises NotAVault, Unsupported, WrongKey, DataCorrupt, StorageUnavailable."""
    content = b""
    try:
        content = storage.get(NAME)
        return config.unlock(content, key, storage.url)
    except (NotFound, NotAVault, Unsupported, DataCorrupt, WrongKey) as error:
        copy: Unlocked | None = None
        with suppress(NotFound, NotAVault, Unsupported, DataCorrupt):  # the first error says what is wrong
            copy = config.unlock(storage.get(COPY), key, storage.url)
        # A key that was removed may still open a copy that was not written since.
        if copy is not None and not config.is_intact(content, copy.keyring()):
            return copy
        if isinstance(error, NotFound):
            raise NotAVault(f"there is no vault at {storage.url}") from error
        raise


class Keys:
    """The keys of a vault, to whoever has one. Nothing but the configuration is written: no data changes.

    All methods raise what ``load`` raises, and Conflict if somebody else changes the keys at the same time.
    """

    def __init__(self, storage: Storage, key: Key, random_bytes: RandomBytes) -> None:
        self._storage = storage
        self._key = key
        self._random_bytes = random_bytes

    def all(self) -> tuple[KeySlot, ...]:
        return load(self._storage, self._key).slots

    def own(self) -> KeySlot:
        """That of the key at hand."""
        return load(self._storage, self._key).slot

    def add(self, key: Key) -> KeySlot:
        """Let ``key`` open the vault too. Raises Conflict if it does already."""
        self._check_new(key)
        self._change(lambda opened: opened.with_key(key, self._random_bytes))
        return load(self._storage, key).slot

    def rotate(self, key: Key) -> KeySlot:
        """Put ``key`` in the place of the one at hand, which then opens nothing. Raises Conflict."""
        self._check_new(key)
        self._change(lambda opened: opened.rotated(key, self._random_bytes))
        self._key = key
        return load(self._storage, key).slot

    def protect(self, days: int) -> None:
        """Let no point that is made from now on be deleted before it is so many days old; 0 for no such window.

        Points that are there keep what they were made with. Raises InvalidInput.
        """
        if not 0 <= days <= MOST_DAYS:
            raise InvalidInput(f"points cannot be kept from deletion for {days} days")
        self._change(lambda opened: opened.protecting(days))

    def remove(self, name: str) -> None:
        """Raises NotFound, and Conflict for the last one."""
        self._change(lambda opened: opened.without(name))

    def _check_new(self, key: Key) -> None:
        try:
            slot = load(self._storage, key).slot
        except (WrongKey, NotAVault, DataCorrupt):
            return  # damage is told with the key at hand
        raise Conflict(f"that {key.kind} opens the repository already, as key {slot.name}")

    def _change(self, changed: Callable[[Unlocked], bytes]) -> None:
        opened = load(self._storage, self._key)
        content = changed(opened)
        try:
            self._storage.replace(NAME, content, opened.content)
        except (Conflict, NotFound):
            if self._storage_has_intact(opened.keyring()):
                raise
            self._storage.replace(NAME, content, None)  # it was opened by its copy, for it is damaged
        self._storage.replace(COPY, content, None)

    def _storage_has_intact(self, keyring: Keyring) -> bool:
        try:
            return config.is_intact(self._storage.get(NAME), keyring)
        except NotFound:
            return False


def problems(storage: Storage, keyring: Keyring, *, mend: bool) -> list[tuple[str, str]]:
    """What is wrong with the two, by object; ``mend``: write the good one over the other."""
    found: dict[str, bytes | None] = {}
    for name in (NAME, COPY):
        try:
            found[name] = storage.get(name)
        except NotFound:
            found[name] = None
    wrong = {
        name: "is missing" if content is None else "is damaged"
        for name, content in found.items()
        if content is None or not config.is_intact(content, keyring)
    }
    good = next((content for name, content in found.items() if name not in wrong), None)
    if good is None or not mend:
        return list(wrong.items())
    for name in wrong:
        with suppress(Conflict, NotFound):  # somebody else has just written it
            storage.replace(name, good, found[name])
    return list(wrong.items())


def protected_days(storage: Storage, keyring: Keyring) -> int:
    """For how many days a point made now may not be deleted. Raises DataCorrupt, StorageUnavailable."""
    for name in (NAME, COPY):
        with suppress(NotFound):
            content = storage.get(name)
            if config.is_intact(content, keyring):
                return config.protected_days(content)
    raise DataCorrupt(f"the configuration of {storage.url} is damaged")
