"""Marks: which packs are doomed. Written by a prune or a verification, read by whoever writes or removes chunks.

Marks are numbered, and each number is written once: so whoever knows the newest number knows whether there are
new ones. A pack that is doomed stays so for good. docs/vault-format.md says why that is enough for a prune to
need no lock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from restorium.vault import sealed
from restorium.vault.index import Index
from restorium.vault.keys import Keyring, RandomBytes
from restorium.vault.log import warn
from restorium.vault.packs import PACK_ID_BYTES
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import Conflict, NotFound

_FOLDER = "marks"
_DIGITS = 10
_MAGIC = b"RSTMMARK"
_ENTRY = struct.Struct(f"<{PACK_ID_BYTES}sB")
MOST_PACKS = 65536
"""That one object names."""


class Reason(IntEnum):
    """Why a pack is doomed: no point needs it, hardly any does, or something in it does not match its digest."""

    DEAD = 0
    SPARSE = 1
    DAMAGED = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """One object of marks, and when it was written by the storage's clock."""

    number: int
    modified: datetime
    packs: Mapping[bytes, Reason]


class Marks:
    """The marks of one vault; what is known of them is kept in the index. Safe to use from several threads."""

    def __init__(self, storage: Storage, keyring: Keyring, vault_id: UUID, index: Index) -> None:
        self._storage = storage
        self._keyring = keyring
        self._vault_id = vault_id
        self._index = index

    def refresh(self) -> int:
        """Learn of new marks; gives the newest number, 0 if there is none. Raises StorageUnavailable."""
        known = self._index.known_marks()
        listed = {number for number, _ in self._listed()}
        for number in sorted(listed - known):
            self._learn(number)
        newest = max(listed | known, default=0)
        # A list may lag behind what is there; asking for an object by its name does not.
        while self._learn(newest + 1):
            newest += 1
        return newest

    def all(self) -> Iterator[Mark]:
        """Every mark that can be read, as it lies on the storage now."""
        for number, modified in sorted(self._listed()):
            packs = self._read(number)
            if packs is not None:
                yield Mark(number, modified, packs)

    def add(self, packs: Mapping[bytes, Reason], random_bytes: RandomBytes) -> int:
        """Doom up to ``MOST_PACKS`` packs; gives the number. Raises StorageUnavailable, RepositoryFull."""
        body = b"".join(_ENTRY.pack(pack_id, reason) for pack_id, reason in sorted(packs.items()))
        while True:
            number = self.refresh() + 1
            name = _name(number)
            content = sealed.seal(_MAGIC, self._keyring.mark_cipher, self._vault_id, name, body, random_bytes)
            try:
                self._storage.put(name, content)
            except Conflict:
                continue  # another was faster, and is read first
            self._index.doom(number, packs)
            return number

    def remove(self, number: int) -> None:
        """Only once none of its packs is there any more, and never the newest."""
        self._storage.delete(_name(number))

    def _learn(self, number: int) -> bool:
        """Whether there is such a mark; what it dooms is noted in the index."""
        if number in self._index.known_marks():
            return True
        packs = self._read(number)
        if packs is not None:
            self._index.doom(number, packs)
        return packs is not None

    def _read(self, number: int) -> Mapping[bytes, Reason] | None:
        """What a mark dooms; nothing if it is damaged, for then nobody removes anything by it either."""
        name = _name(number)
        try:
            content = self._storage.get(name)
        except NotFound:
            return None
        try:
            body = sealed.open_sealed(_MAGIC, self._keyring.mark_cipher, self._vault_id, name, content)
            return {pack_id: Reason(reason) for pack_id, reason in _ENTRY.iter_unpack(body)}
        except (ValueError, struct.error) as error:
            warn("a mark is damaged and ignored", mark=name, error=str(error))
            return {}

    def _listed(self) -> Iterator[tuple[int, datetime]]:
        for found in self._storage.list(_FOLDER):
            number = found.name.removeprefix(f"{_FOLDER}/")
            if len(number) == _DIGITS and number.isdecimal():
                yield int(number), found.modified


def _name(number: int) -> str:
    return f"{_FOLDER}/{number:0{_DIGITS}}"
