"""Reading a restore point back: onto a disk, against a disk, and any part of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.vault.chunks import DataIds
from restorium.vault.chunkstore import ChunkStore, Fetch, plan_fetches
from restorium.vault.packs import ID_BYTES
from restorium.vault.plan import SEGMENT_CHUNKS, runs, segment_masks
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vault.workers import Workers
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, InvalidInput, VerificationFailed

_BATCH_CHUNKS = 8
_MOST_WINDOWS = 16

Places = Mapping[bytes, list[int]]
"""Chunk ids to the offsets on the disk where the chunk belongs."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of the disk under way: where it ends and what data it holds."""

    end: int
    data_bytes: int
    fetches: list[Future[None]]


class StoredDisk:
    """One disk of a point. Only its table's current segment is in memory."""

    def __init__(self, chunks: ChunkStore, disk: DiskRecord, chunk_size: int) -> None:
        self.disk = disk
        self._chunks = chunks
        self._chunk_size = chunk_size
        self._table = DiskTable(disk, chunk_size, chunks.table_chunk)

    def extents(self) -> Iterator[Extent]:
        """Data and holes, in whole chunks, covering the disk."""
        current: Extent | None = None
        for first, ids in self._segments(0):
            for number, name in enumerate(ids, first):
                start, length, hole = *self._span(number), name == ZERO_ID
                if current is not None and current.hole == hole:
                    current = Extent(current.offset, current.length + length, hole)
                    continue
                if current is not None:
                    yield current
                current = Extent(start, length, hole)
        if current is not None:
            yield current

    def missing(self) -> int:
        """How many chunks of data no pack has. A lost piece of the table raises ChunkMissing."""
        lost: set[bytes] = set()
        for _, ids in self._segments(0):
            wanted = {name for name in ids if name != ZERO_ID}
            lost |= wanted.difference(self._chunks.locate(wanted))
        return len(lost)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from anywhere inside the disk."""
        if offset < 0 or length < 0 or offset + length > self.disk.size:
            raise InvalidInput(f"bytes {offset} to {offset + length} are not inside {self._name()}")
        parts = []
        position = offset
        while position < offset + length:
            number = position // self._chunk_size
            start, span = self._span(number)
            end = min(offset + length, start + span)
            parts.append(self._chunk(number, span)[position - start : end - start])
            position = end
        return b"".join(parts)

    def copy(
        self,
        writer: DiskWriter,
        start: int,
        window: int,
        on_window: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        threads: int,
    ) -> None:
        """Write the data from ``start`` on. See Vault.restore_disk."""
        if writer.size != self.disk.size:
            raise InvalidInput(f"{self._name()} has {self.disk.size} bytes, its target {writer.size}")
        under_way: deque[_Window] = deque()
        with Workers(threads, cancelled) as workers:
            for first, ids in self._windows(start, max(window // self._chunk_size, 1)):
                under_way.append(self._begin(workers, writer, first, ids))
                while under_way and (len(under_way) > _MOST_WINDOWS or _is_done(under_way[0])):
                    _settle(workers, under_way.popleft(), on_window)
            while under_way:
                _settle(workers, under_way.popleft(), on_window)

    def verify(
        self,
        reader: DiskReader,
        progress: Callable[[int], None],
        cancelled: Callable[[], bool],
        threads: int,
    ) -> None:
        """Read the target and compare. See Vault.verify_disk."""
        if reader.size != self.disk.size:
            raise VerificationFailed(f"{self._name()} has {self.disk.size} bytes, its target {reader.size}")
        names = DataIds(self._chunks.keyring, self._chunk_size)
        present = segment_masks(reader.extents(), reader.size, self._chunk_size)
        checks: deque[Future[None]] = deque()
        with Workers(threads, cancelled) as workers:
            for (first, ids), mask in zip(self._segments(0), present, strict=True):
                for number, name in enumerate(ids):
                    if name != ZERO_ID:
                        mask[number] = 1
                for begin, end in runs(mask, _BATCH_CHUNKS):
                    expected = ids[begin:end]
                    checks.append(
                        workers.submit(self._check, reader, names, first + begin, expected, progress)
                    )
                    while checks and checks[0].done():
                        checks.popleft().result()
            while checks:
                workers.result(checks.popleft())

    def _begin(self, workers: Workers, writer: DiskWriter, first: int, ids: list[bytes]) -> _Window:
        places: dict[bytes, list[int]] = {}
        end = data = 0
        for number, name in enumerate(ids, first):
            start, length = self._span(number)
            end = start + length
            if name != ZERO_ID:
                places.setdefault(name, []).append(start)
                data += length
        found = self._chunks.locate(places) if places else {}
        for name, offsets in places.items():
            if name not in found:
                raise ChunkMissing(self._at(offsets[0], f"chunk {name.hex()[:16]} is in no pack"))
        fetches = [
            workers.submit(self._fetch, fetch, places, writer) for fetch in plan_fetches(found.values())
        ]
        return _Window(end, data, fetches)

    def _fetch(self, fetch: Fetch, places: Places, writer: DiskWriter) -> None:
        content = self._chunks.fetch(fetch)
        for location in fetch.locations:
            sealed = (
                None
                if content is None
                else content[location.offset - fetch.start : location.end - fetch.start]
            )
            offsets = places[location.entry.id]
            try:
                chunk = self._chunks.open(location, sealed)
            except (DataCorrupt, ChunkMissing) as error:
                raise type(error)(self._at(offsets[0], error.message)) from error
            for offset in offsets:
                writer.write(offset, chunk)

    def _check(
        self,
        reader: DiskReader,
        names: DataIds,
        first: int,
        expected: list[bytes],
        progress: Callable[[int], None],
    ) -> None:
        spans = [self._span(number) for number in range(first, first + len(expected))]
        origin = spans[0][0]
        buffer = memoryview(bytearray(spans[-1][0] + spans[-1][1] - origin))
        reader.read_into(origin, buffer)
        done = 0
        for (start, length), name in zip(spans, expected, strict=True):
            if names.of(buffer[start - origin : start - origin + length]) != name:
                raise VerificationFailed(self._at(start, "what was written reads back otherwise"))
            done += length if name != ZERO_ID else 0
        if done:
            progress(done)

    def _segments(self, start: int) -> Iterator[tuple[int, list[bytes]]]:
        """Number of the first chunk, and the ids, of each segment from the one that holds byte ``start``."""
        for segment in range(start // self._chunk_size // SEGMENT_CHUNKS, self._table.segments):
            yield segment * SEGMENT_CHUNKS, split_ids(self._table.segment(segment))

    def _windows(self, start: int, chunks: int) -> Iterator[tuple[int, list[bytes]]]:
        """The disk from ``start`` in windows; those of holes alone are left out, but never the last."""
        if start >= self.disk.size:
            return
        for first, ids in self._segments(start):
            skip = max(start // self._chunk_size - first, 0)
            for at in range(skip, len(ids), chunks):
                window = ids[at : at + chunks]
                last = (first + at + len(window)) * self._chunk_size >= self.disk.size
                if last or any(name != ZERO_ID for name in window):
                    yield first + at, window

    def _chunk(self, number: int, length: int) -> bytes:
        segment, at = divmod(number, SEGMENT_CHUNKS)
        name = self._table.segment(segment)[at * ID_BYTES : (at + 1) * ID_BYTES]
        if name == ZERO_ID:
            return bytes(length)
        try:
            return self._chunks.read(name)
        except (DataCorrupt, ChunkMissing) as error:
            raise type(error)(self._at(number * self._chunk_size, error.message)) from error

    def _span(self, number: int) -> tuple[int, int]:
        """Where a chunk starts on the disk, and its length."""
        start = number * self._chunk_size
        return start, min(self._chunk_size, self.disk.size - start)

    def _name(self) -> str:
        return f"disk {self.disk.key!r}"

    def _at(self, offset: int, what: str) -> str:
        start, length = self._span(offset // self._chunk_size)
        return f"{self._name()}, bytes {start} to {start + length}: {what}"


def _is_done(window: _Window) -> bool:
    return all(fetch.done() for fetch in window.fetches)


def _settle(workers: Workers, window: _Window, on_window: Callable[[int, int], None]) -> None:
    for fetch in window.fetches:
        workers.result(fetch)
    on_window(window.end, window.data_bytes)
