"""Chunks by id: finding the packs that hold them, fetching, and opening with the digest recomputed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from restorium.vault.chunks import ChunkCodec
from restorium.vault.index import Index
from restorium.vault.keys import Keyring
from restorium.vault.log import warn
from restorium.vault.marks import Marks
from restorium.vault.packs import Kind, Location, open_record, pack_name, parse_pack_name, read_footer
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, NotFound

_MOST_FETCH_BYTES = 2 * 1024 * 1024
_MOST_GAP_BYTES = 64 * 1024
_TABLE_BYTES = 4 * 1024 * 1024
_RECENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fetch:
    """One read of a pack: from ``start`` to ``end``, holding these chunks in order."""

    pack_id: bytes
    locations: tuple[Location, ...]

    @property
    def start(self) -> int:
        return self.locations[0].offset

    @property
    def end(self) -> int:
        return self.locations[-1].end


def plan_fetches(locations: Iterable[Location]) -> list[Fetch]:
    """Group chunks by pack and join neighbours, so that few reads bring them all."""
    fetches: list[Fetch] = []
    group: list[Location] = []
    for location in sorted(locations, key=lambda each: (each.pack_id, each.offset)):
        if group and not _joins(group, location):
            fetches.append(Fetch(group[0].pack_id, tuple(group)))
            group = []
        group.append(location)
    if group:
        fetches.append(Fetch(group[0].pack_id, tuple(group)))
    return fetches


def _joins(group: Sequence[Location], location: Location) -> bool:
    return (
        location.pack_id == group[0].pack_id
        and location.offset - group[-1].end <= _MOST_GAP_BYTES
        and location.end - group[0].offset <= _MOST_FETCH_BYTES
    )


class Recent:
    """The chunks used last, of ``most`` bytes together. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._chunks: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, chunk_id: bytes) -> bytes | None:
        with self._lock:
            chunk = self._chunks.get(chunk_id)
            if chunk is not None:
                self._chunks.move_to_end(chunk_id)
            return chunk

    def keep(self, chunk_id: bytes, chunk: bytes) -> None:
        with self._lock:
            if chunk_id in self._chunks:
                return
            self._chunks[chunk_id] = chunk
            self._used += len(chunk)
            while self._used > self._most:
                self._used -= len(self._chunks.popitem(last=False)[1])


class ChunkStore:
    """All chunks of one vault. Safe to use from several threads.

    recent: pieces of disks, for who reads here and there.
    """

    def __init__(self, storage: Storage, keyring: Keyring, vault_id: UUID, index: Index) -> None:
        self.storage = storage
        self.keyring = keyring
        self.index = index
        self.marks = Marks(storage, keyring, vault_id, index)
        self.codec = ChunkCodec()
        self.recent = Recent(_RECENT_BYTES)
        self._tables = Recent(_TABLE_BYTES)
        self._lock = threading.Lock()
        self._relearned = False

    def sync(self) -> int:
        """Learn of packs that others wrote, removed or doomed; gives the newest mark's number.

        Marks first: a pack that is listed later and not doomed by them is not removed by what was decided before.
        Raises StorageUnavailable.
        """
        while True:
            newest = self.marks.refresh()
            self.index.sync(self.list_packs, self._read_footer)
            # An index that was damaged meanwhile has been made anew and forgot the marks.
            if newest == 0 or newest in self.index.known_marks():
                return newest

    def locate(self, ids: Collection[bytes]) -> dict[bytes, Location]:
        """Where the chunks lie, those that are nowhere left out once the packs themselves were asked."""
        found = self.index.locate(ids)
        if len(found) < len(set(ids)):
            self.sync()
            found = self.index.locate(ids)
        if len(found) < len(set(ids)) and self._may_relearn():
            self.index.forget()
            self.sync()
            found = self.index.locate(ids)
        return found

    def fetch(self, fetch: Fetch) -> memoryview | None:
        """The bytes of a planned read; None if the pack has them no longer."""
        try:
            return self.storage.get_range(pack_name(fetch.pack_id), fetch.start, fetch.end - fetch.start)
        except (NotFound, DataCorrupt):
            return None

    def open(self, location: Location, sealed: memoryview | None) -> bytes:
        """The chunk that ``sealed`` holds. If it does not, look wherever the packs themselves say it lies.

        Raises DataCorrupt, ChunkMissing.
        """
        chunk = self.decode(location, sealed)
        if chunk is not None:
            return chunk
        name = location.entry.id.hex()[:16]
        self.index.forget(location)
        # Another pack may have it, and if not the pack itself is asked where it lies.
        for look in (lambda: self.locate([location.entry.id]), self.sync):
            look()
            found = self.index.locations(location.entry.id)
            for again in found:
                chunk = self.decode(again, self.fetch(Fetch(again.pack_id, (again,))))
                if chunk is not None:
                    return chunk
        if not found:
            raise ChunkMissing(f"chunk {name} is in no pack of {self.storage.url}")
        pack = pack_name(found[0].pack_id)
        raise DataCorrupt(f"chunk {name} in {pack} of {self.storage.url} does not match its digest")

    def read(self, chunk_id: bytes) -> bytes:
        """One chunk, from wherever it lies. Raises DataCorrupt, ChunkMissing."""
        location = self.locate([chunk_id]).get(chunk_id)
        if location is None:
            raise ChunkMissing(f"chunk {chunk_id.hex()[:16]} is in no pack of {self.storage.url}")
        return self.open(location, self.fetch(Fetch(location.pack_id, (location,))))

    def table_chunk(self, chunk_id: bytes, length: int) -> bytes:
        """A piece of a disk table; the last few are kept. Raises DataCorrupt, ChunkMissing."""
        kept = self._tables.get(chunk_id)
        chunk = self.read(chunk_id) if kept is None else kept
        if len(chunk) != length:
            raise DataCorrupt(f"table {chunk_id.hex()[:16]} has {len(chunk)} bytes instead of {length}")
        self._tables.keep(chunk_id, chunk)
        return chunk

    def decode(self, location: Location, sealed: memoryview | None) -> bytes | None:
        """The chunk, or None if ``sealed`` is not what was stored there."""
        if sealed is None:
            return None
        payload = open_record(self.keyring.pack_cipher(location.pack_id), location, sealed)
        chunk = None if payload is None else self.codec.decode(location, payload)
        if chunk is None:
            return None
        data = location.entry.kind is Kind.DATA
        name = self.keyring.data_id(chunk) if data else self.keyring.table_id(chunk)
        return chunk if name == location.entry.id else None

    def _may_relearn(self) -> bool:
        with self._lock:
            first, self._relearned = not self._relearned, True
        return first

    def list_packs(self) -> Iterator[tuple[bytes, int]]:
        """Ids and sizes in bytes of all packs on the storage."""
        for found in self.storage.list("packs"):
            pack_id = parse_pack_name(found.name)
            if pack_id is not None:
                yield pack_id, found.size

    def _read_footer(self, pack_id: bytes, size: int) -> list[Location] | None:
        try:
            return read_footer(self.storage, self.keyring, pack_id, size)
        except (DataCorrupt, NotFound) as error:
            warn("a pack is left out", pack=pack_name(pack_id), error=error.message)
            return None
