"""The layout of packs: objects of up to 16 MiB that hold many chunks each.

    header   32 bytes   magic, version, id of the pack
    records             sealed chunks, one behind the other, numbered from 0
    footer              sealed list of the records, 42 bytes each
    trailer  12 bytes   length of the footer, magic

Each pack is encrypted with a key of its own, derived from its id, and record n with nonce n; so no nonce is
used twice and nothing opens in another place than its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from restorium.vault.keys import Keyring
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import DataCorrupt

ID_BYTES = 32
PACK_ID_BYTES = 16
TAG_BYTES = 16
PACK_BYTES = 16 * 1024 * 1024
MOST_RECORDS = 4096

_HEADER = struct.Struct("<8sH6x16s")
_ENTRY = struct.Struct("<32sBBII")
_TRAILER = struct.Struct("<I8s")
_HEADER_MAGIC, _TRAILER_MAGIC, _VERSION = b"RSTMPACK", b"RSTMPEND", 1
_NONCE_BYTES = 12
_FOOTER_NONCE = b"\xff" * _NONCE_BYTES
_TAIL_BYTES = 32 * 1024
_FRAME_BYTES = _HEADER.size + TAG_BYTES + _TRAILER.size
CAPACITY = PACK_BYTES + MOST_RECORDS * _ENTRY.size + _FRAME_BYTES
"""The most bytes that a pack takes."""


class Kind(IntEnum):
    """What a chunk is a piece of."""

    DATA = 0
    TABLE = 1


class Encoding(IntEnum):
    RAW = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One chunk as stored. ``stored`` and ``plain`` are its lengths in bytes, sealed and in the clear."""

    id: bytes
    kind: Kind
    encoding: Encoding
    stored: int
    plain: int

    def pack(self) -> bytes:
        return _ENTRY.pack(self.id, self.kind, self.encoding, self.stored, self.plain)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a chunk lies: record ``number`` of a pack, from byte ``offset``."""

    entry: Entry
    pack_id: bytes
    number: int
    offset: int

    @property
    def end(self) -> int:
        return self.offset + self.entry.stored


def pack_name(pack_id: bytes) -> str:
    """The object's name. Folders of 256 keep directories small on file systems."""
    text = pack_id.hex()
    return f"packs/{text[:2]}/{text}"


def parse_pack_name(name: str) -> bytes | None:
    """The id in an object's name, or None for anything that is no pack."""
    try:
        pack_id = bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        return None
    return pack_id if len(pack_id) == PACK_ID_BYTES and pack_name(pack_id) == name else None


class PackBuilder:
    """A pack in the making, in a buffer of ``CAPACITY`` bytes that it is lent.

    ``reserve`` from one thread at a time; ``fill`` from any, once for each reservation.
    """

    def __init__(self, pack_id: bytes, keyring: Keyring, buffer: bytearray) -> None:
        self.pack_id = pack_id
        self.buffer = buffer
        self.entries: list[Entry] = []
        self._cipher = keyring.pack_cipher(pack_id)
        self._view = memoryview(buffer)
        buffer[: _HEADER.size] = _header(pack_id)
        self._used = _HEADER.size

    def has_room(self, stored: int) -> bool:
        return len(self.entries) < MOST_RECORDS and self._used + stored <= _HEADER.size + PACK_BYTES

    def reserve(self, entry: Entry) -> Location:
        location = Location(entry, self.pack_id, len(self.entries), self._used)
        self.entries.append(entry)
        self._used += entry.stored
        return location

    def fill(self, location: Location, payload: bytes | memoryview) -> None:
        """Encrypt the chunk to its place."""
        target = self._view[location.offset : location.end]
        self._cipher.encrypt_into(_record_nonce(location.number), payload, location.entry.pack(), target)

    def finish(self) -> memoryview:
        """The whole object, once everything reserved is filled."""
        footer = b"".join(entry.pack() for entry in self.entries)
        trailer = _TRAILER.pack(len(footer) + TAG_BYTES, _TRAILER_MAGIC)
        sealed = self._cipher.encrypt(_FOOTER_NONCE, footer, _header(self.pack_id) + trailer)
        end = self._used + len(sealed) + len(trailer)
        self._view[self._used : end] = sealed + trailer
        return self._view[:end]


def open_record(cipher: AESGCM, location: Location, sealed: bytes | memoryview) -> bytes | None:
    """The payload of a record, or None if it is not what was sealed there."""
    try:
        return cipher.decrypt(_record_nonce(location.number), sealed, location.entry.pack())
    except InvalidTag:
        return None


def has_header(content: bytes | memoryview, pack_id: bytes) -> bool:
    """Whether the object begins as this pack must."""
    return content[: _HEADER.size] == _header(pack_id)


def read_footer(storage: Storage, keyring: Keyring, pack_id: bytes, size: int) -> list[Location]:
    """What a pack of ``size`` bytes holds, from its own footer.

    Raises DataCorrupt, NotFound, StorageUnavailable.
    """
    name = pack_name(pack_id)
    if size < _FRAME_BYTES:
        raise DataCorrupt(f"{name} in {storage.url} is cut short")
    tail_bytes = min(size, _TAIL_BYTES)
    tail = storage.get_range(name, size - tail_bytes, tail_bytes)
    length, magic = _TRAILER.unpack(tail[-_TRAILER.size :])
    start = size - _TRAILER.size - length
    if magic != _TRAILER_MAGIC or start < _HEADER.size:
        raise DataCorrupt(f"{name} in {storage.url} has no footer")
    if length + _TRAILER.size > tail_bytes:
        tail = storage.get_range(name, start, size - start)
    sealed = tail[-_TRAILER.size - length : -_TRAILER.size]
    try:
        footer = keyring.pack_cipher(pack_id).decrypt(
            _FOOTER_NONCE, sealed, _header(pack_id) + bytes(tail[-_TRAILER.size :])
        )
    except InvalidTag:
        raise DataCorrupt(f"the footer of {name} in {storage.url} does not match its tag") from None
    locations = _locate(pack_id, [_read_entry(fields) for fields in _ENTRY.iter_unpack(footer)])
    if (locations[-1].end if locations else _HEADER.size) != start:
        raise DataCorrupt(f"{name} in {storage.url} is not as long as its footer says")
    return locations


def _header(pack_id: bytes) -> bytes:
    return _HEADER.pack(_HEADER_MAGIC, _VERSION, pack_id)


def _read_entry(fields: tuple[bytes, int, int, int, int]) -> Entry:
    chunk_id, kind, encoding, stored, plain = fields
    return Entry(chunk_id, Kind(kind), Encoding(encoding), stored, plain)


def _locate(pack_id: bytes, entries: Sequence[Entry]) -> list[Location]:
    locations = []
    offset = _HEADER.size
    for number, entry in enumerate(entries):
        locations.append(Location(entry, pack_id, number, offset))
        offset += entry.stored
    return locations


def _record_nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "little")
