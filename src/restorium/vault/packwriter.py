"""Chunks into packs, and packs onto the storage, several at once.

Memory is bounded by a few pack buffers that are used over and over; whoever stores waits while all are on
their way.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from restorium.vault.chunkstore import ChunkStore
from restorium.vault.keys import RandomBytes
from restorium.vault.packs import (
    CAPACITY,
    PACK_ID_BYTES,
    TAG_BYTES,
    Entry,
    Kind,
    Location,
    PackBuilder,
    pack_name,
)
from restorium.vocabulary.errors import RepositoryFull

_BUFFERS = 4


class _OpenPack:
    """A pack and how many of its reservations are still to be filled. It is whole when sealed and all are."""

    def __init__(self, builder: PackBuilder) -> None:
        self.builder = builder
        self.locations: list[Location] = []
        self._lock = threading.Lock()
        self._outstanding = 1

    def reserve(self, entry: Entry) -> Location:
        location = self.builder.reserve(entry)
        self.locations.append(location)
        with self._lock:
            self._outstanding += 1
        return location

    def release(self) -> bool:
        """One reservation is filled, or the pack is sealed; true for the last of these."""
        with self._lock:
            self._outstanding -= 1
            return self._outstanding == 0


class PackWriter:
    """Stores each chunk that the vault does not have yet. Safe to use from several threads.

    quota_bytes: what all packs of the vault together may take; what other writers have under way is not
    counted.
    """

    def __init__(self, chunks: ChunkStore, quota_bytes: int | None, random_bytes: RandomBytes) -> None:
        self._chunks = chunks
        self._quota_bytes = quota_bytes
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._pack: _OpenPack | None = None
        # A lock of its own: uploads take it, and whoever waits for an upload's buffer holds the other.
        self._naming = threading.Lock()
        self._pending: set[bytes] = set()
        self._buffers: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._buffers_made = 0
        self._uploader = ThreadPoolExecutor(_BUFFERS, thread_name_prefix="vault-upload")
        self._failure: BaseException | None = None
        self._counting = threading.Lock()
        self._under_way = 0
        self.stored_bytes = 0

    def missing(self, ids: Collection[bytes]) -> set[bytes]:
        """Those of the chunks that the vault does not have for long and that are not on their way."""
        with self._naming:
            wanted = {each for each in ids if each not in self._pending}
        return wanted - self._chunks.index.known(wanted)

    def store(self, kind: Kind, chunk_id: bytes, chunk: bytes | memoryview) -> bool:
        """Store a chunk that ``missing`` named; false if another thread was faster.

        Raises what a pack's upload raised: RepositoryFull, StorageUnavailable.
        """
        with self._naming:
            if chunk_id in self._pending:
                return False
            self._pending.add(chunk_id)
        encoding, payload = self._chunks.codec.encode(chunk)
        entry = Entry(chunk_id, kind, encoding, len(payload) + TAG_BYTES, len(chunk))
        with self._lock:
            pack = self._pack_with_room(entry.stored)
            location = pack.reserve(entry)
        try:
            pack.builder.fill(location, payload)
        except BaseException as error:
            self._failure = error
            raise
        self._release(pack)
        return True

    def finish(self) -> None:
        """Return once everything stored is on the storage. Raises what an upload raised."""
        with self._lock:
            self._seal()
        self._uploader.shutdown(wait=True)
        self._check()

    def abandon(self) -> None:
        """Drop what is not on the storage yet; what is there already stays, for a later backup to find."""
        self._uploader.shutdown(wait=True, cancel_futures=True)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _pack_with_room(self, stored: int) -> _OpenPack:
        self._check()
        if self._pack is not None and not self._pack.builder.has_room(stored):
            self._seal()
        if self._pack is None:
            pack_id = self._random_bytes(PACK_ID_BYTES)
            self._pack = _OpenPack(PackBuilder(pack_id, self._chunks.keyring, self._buffer()))
        return self._pack

    def _buffer(self) -> bytearray:
        if self._buffers_made < _BUFFERS and self._buffers.empty():
            self._buffers_made += 1
            return bytearray(CAPACITY)
        buffer = self._buffers.get()
        self._check()
        return buffer

    def _seal(self) -> None:
        pack, self._pack = self._pack, None
        if pack is not None:
            self._release(pack)

    def _release(self, pack: _OpenPack) -> None:
        if pack.release():
            self._uploader.submit(self._upload, pack)

    def _upload(self, pack: _OpenPack) -> None:
        """Runs in the uploader; what goes wrong is kept for whoever stores or finishes next."""
        content = pack.builder.finish()
        try:
            self._put(pack.builder.pack_id, content, pack.locations)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self._failure = error
        finally:
            self._buffers.put(_released(pack.builder.buffer, content))
        with self._naming:
            self._pending.difference_update(location.entry.id for location in pack.locations)

    def _put(self, pack_id: bytes, content: memoryview, locations: Sequence[Location]) -> None:
        size = len(content)
        self._take(size)
        try:
            self._chunks.storage.put(pack_name(pack_id), content)
        except BaseException:
            with self._counting:
                self._under_way -= size
            raise
        with self._counting:
            self._chunks.index.add(pack_id, size, locations)
            self._under_way -= size
            self.stored_bytes += size

    def _take(self, size: int) -> None:
        with self._counting:
            if self._quota_bytes is not None:
                total = self._chunks.index.stored_bytes() + self._under_way + size
                if total > self._quota_bytes:
                    raise RepositoryFull(
                        f"{self._chunks.storage.url} would grow to {total} bytes of {self._quota_bytes}"
                    )
            self._under_way += size


def _released(buffer: bytearray, content: memoryview) -> bytearray:
    """The buffer, to be used again, or another if the storage keeps hold of what it was given."""
    try:
        content.release()
    except BufferError:
        return bytearray(CAPACITY)
    return buffer
