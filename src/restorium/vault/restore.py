"""Reading a restore point back: onto a disk, against a disk, and any part of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from restorium.disks.digest import DiskTree, part_digests
from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.vault.chunks import DataIds
from restorium.vault.chunkstore import ChunkStore, Fetch, plan_fetches
from restorium.vault.packs import ID_BYTES
from restorium.vault.plan import SEGMENT_CHUNKS, count_chunks, runs, segment_masks
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vault.workers import Workers, check_cancel
from restorium.vocabulary.errors import (
    ChunkMissing,
    DataCorrupt,
    DiskDamaged,
    InvalidInput,
    VerificationFailed,
)

_BATCH_CHUNKS = 8
"""Of 256 KiB each: whole parts of a disk's digest, and a segment of the disk is whole batches."""
_PIECES = 16
"""In which a window is written: about a third of them are under way past what was told, a third waits to be told."""
_COMPARED_AHEAD = 2
_READ_CHUNKS = 32

_MOST_SPANS = 100

Places = Mapping[bytes, list[int]]
"""Chunk ids to the offsets on the disk where the chunk belongs."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What of a disk no pack has: how many different chunks, and where on the disk they belong.

    spans: starts and ends in bytes, in order, at most 100 of them. ``more``: how many there are beside these.
    """

    chunks: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Ids of neighbouring chunks from number ``first`` on. ``held``: numbers of those that need no fetch."""

    first: int
    ids: list[bytes]
    held: frozenset[int] = frozenset()


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

    def extents(self, cancelled: Callable[[], bool]) -> Iterator[Extent]:
        """Data and holes, in whole chunks, covering the disk."""
        current: Extent | None = None
        for first, ids in self._segments(0):
            check_cancel(cancelled)
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

    def missing(self, cancelled: Callable[[], bool]) -> Missing:
        """What of the data no pack has. A lost piece of the table raises ChunkMissing."""
        lost: set[bytes] = set()
        spans: list[tuple[int, int]] = []
        more = 0
        for first, ids in self._segments(0):
            check_cancel(cancelled)
            wanted = {name for name in ids if name != ZERO_ID}
            gone = wanted.difference(self._chunks.locate(wanted))
            if not gone:
                continue
            lost |= gone
            mask = bytearray(name in gone for name in ids)
            for begin, end in runs(mask, len(mask)):
                start, stop = self._span(first + begin)[0], sum(self._span(first + end - 1))
                if spans and spans[-1][1] == start:
                    spans[-1] = spans[-1][0], stop
                elif len(spans) < _MOST_SPANS:
                    spans.append((start, stop))
                else:
                    more += 1
        return Missing(len(lost), tuple(spans), more)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from anywhere inside the disk."""
        if offset < 0 or length < 0 or offset + length > self.disk.size:
            raise InvalidInput(f"bytes {offset} to {offset + length} are not inside {self._name()}")
        content = bytearray(length)
        end = offset + length
        chunks = range(offset // self._chunk_size, count_chunks(end, self._chunk_size))
        for first in range(0, len(chunks), _READ_CHUNKS):
            for start, chunk in self._read_chunks(chunks[first : first + _READ_CHUNKS]):
                begin, stop = max(start, offset), min(start + len(chunk), end)
                content[begin - offset : stop - offset] = memoryview(chunk)[begin - start : stop - start]
        return bytes(content)

    def copy(
        self,
        writer: DiskWriter,
        start: int,
        window: int,
        on_window: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        threads: int,
        existing: DiskReader | None,
    ) -> None:
        """Write the data from ``start`` on. See Vault.restore_disk."""
        if writer.size != self.disk.size:
            raise InvalidInput(f"{self._name()} has {self.disk.size} bytes, its target {writer.size}")
        chunks = max(window // self._chunk_size, 1)
        pieces = min(chunks, _PIECES)
        told_at = max(pieces // 3, 1)
        # What is compared is written before it is under way.
        most = max(pieces - told_at - 1 - (_COMPARED_AHEAD + 1 if existing is not None else 0), 1)
        under_way: deque[_Window] = deque()
        settled: list[_Window] = []

        def settle() -> None:
            piece = under_way.popleft()
            for fetch in piece.fetches:
                workers.result(fetch)
            settled.append(piece)
            if len(settled) >= told_at or piece.end == self.disk.size:
                on_window(piece.end, sum(each.data_bytes for each in settled))
                settled.clear()

        with Workers(threads, cancelled) as workers:
            windows = self._windows(start, chunks // pieces)
            if existing is not None:
                windows = self._compared(windows, existing, writer, workers)
            for stretch in windows:
                under_way.append(self._begin(workers, writer, stretch))
                while under_way and (len(under_way) > most or _is_done(under_way[0])):
                    settle()
            while under_way:
                settle()

    def verify(
        self,
        reader: DiskReader,
        progress: Callable[[int], None],
        cancelled: Callable[[], bool],
        threads: int,
    ) -> str:
        """Read the target, compare, and hash it. See Vault.verify_disk."""
        if reader.size != self.disk.size:
            raise VerificationFailed(f"{self._name()} has {self.disk.size} bytes, its target {reader.size}")
        names = DataIds(self._chunks.keyring, self._chunk_size)
        present = segment_masks(reader.extents(), reader.size, self._chunk_size)
        tree = DiskTree(reader.size)
        checks: deque[tuple[int, Future[list[bytes]]]] = deque()
        with Workers(threads, cancelled) as workers:
            for (first, ids), mask in zip(self._segments(0), present, strict=True):
                for number, name in enumerate(ids):
                    if name != ZERO_ID:
                        mask[number] = 1
                for at in range(0, len(ids), _BATCH_CHUNKS):
                    batch = mask[at : at + _BATCH_CHUNKS]
                    if not any(batch):
                        continue
                    expected = ids[at : at + _BATCH_CHUNKS]
                    check = workers.submit(self._check, reader, names, first + at, expected, batch, progress)
                    checks.append((self._span(first + at)[0], check))
                    while checks and checks[0][1].done():
                        _grow(tree, workers, *checks.popleft())
            while checks:
                _grow(tree, workers, *checks.popleft())
        tree.skip(reader.size)
        return tree.digest()

    def _compared(
        self, windows: Iterator[_Stretch], existing: DiskReader, writer: DiskWriter, workers: Workers
    ) -> Iterator[_Stretch]:
        """The same windows, once what ``existing`` holds of them is on the target."""
        names = DataIds(self._chunks.keyring, self._chunk_size)
        comparing: deque[tuple[_Stretch, list[Future[list[int]]]]] = deque()
        for window in windows:
            mask = bytearray(
                self._may_hold(existing, window.first + at, name) for at, name in enumerate(window.ids)
            )
            looks = [
                workers.submit(
                    self._take_over, existing, names, writer, window.first + begin, window.ids[begin:end]
                )
                for begin, end in runs(mask, _BATCH_CHUNKS)
            ]
            comparing.append((window, looks))
            if len(comparing) > _COMPARED_AHEAD:
                yield _held(workers, *comparing.popleft())
        while comparing:
            yield _held(workers, *comparing.popleft())

    def _may_hold(self, existing: DiskReader, number: int, name: bytes) -> bool:
        return name != ZERO_ID and sum(self._span(number)) <= existing.size

    def _take_over(
        self, existing: DiskReader, names: DataIds, writer: DiskWriter, first: int, wanted: list[bytes]
    ) -> list[int]:
        """Copy those of the chunks that ``existing`` holds at the same place; their numbers."""
        spans = [self._span(number) for number in range(first, first + len(wanted))]
        origin = spans[0][0]
        buffer = memoryview(bytearray(sum(spans[-1]) - origin))
        try:
            existing.read_into(origin, buffer)
        except DiskDamaged:
            return []
        held = []
        for number, ((start, length), name) in enumerate(zip(spans, wanted, strict=True), first):
            chunk = buffer[start - origin : start - origin + length]
            if names.of(chunk) == name:
                writer.write(start, chunk)
                held.append(number)
        return held

    def _begin(self, workers: Workers, writer: DiskWriter, stretch: _Stretch) -> _Window:
        places: dict[bytes, list[int]] = {}
        end = data = 0
        for number, name in enumerate(stretch.ids, stretch.first):
            start, length = self._span(number)
            end = start + length
            if name != ZERO_ID:
                data += length
                if number not in stretch.held:
                    places.setdefault(name, []).append(start)
        fetches = [workers.submit(self._fetch, fetch, places, writer) for fetch in self._plan(places)]
        return _Window(end, data, fetches)

    def _plan(self, places: Places) -> list[Fetch]:
        found = self._chunks.locate(places) if places else {}
        for name, offsets in places.items():
            if name not in found:
                raise ChunkMissing(self._at(offsets[0], f"chunk {name.hex()[:16]} is in no pack"))
        return plan_fetches(found.values())

    def _fetch(self, fetch: Fetch, places: Places, writer: DiskWriter) -> None:
        for name, chunk in self._fetched(fetch, places):
            for offset in places[name]:
                writer.write(offset, chunk)

    def _fetched(self, fetch: Fetch, places: Places) -> Iterator[tuple[bytes, bytes]]:
        """The ids and contents of the chunks that the fetch brings."""
        content = self._chunks.fetch(fetch)
        for location in fetch.locations:
            sealed = (
                None
                if content is None
                else content[location.offset - fetch.start : location.end - fetch.start]
            )
            try:
                yield location.entry.id, self._chunks.open(location, sealed)
            except (DataCorrupt, ChunkMissing) as error:
                raise type(error)(self._at(places[location.entry.id][0], error.message)) from error

    def _check(
        self,
        reader: DiskReader,
        names: DataIds,
        first: int,
        expected: list[bytes],
        mask: bytearray,
        progress: Callable[[int], None],
    ) -> list[bytes]:
        """Compare those of the chunks that ``mask`` names, the rest being holes; the digests of all their parts."""
        spans = [self._span(number) for number in range(first, first + len(expected))]
        origin = spans[0][0]
        buffer = memoryview(bytearray(sum(spans[-1]) - origin))
        for begin, end in runs(mask, len(mask)):
            start, stop = spans[begin][0], sum(spans[end - 1])
            reader.read_into(start, buffer[start - origin : stop - origin])
        done = 0
        for (start, length), name, there in zip(spans, expected, mask, strict=True):
            if there and names.of(buffer[start - origin : start - origin + length]) != name:
                raise VerificationFailed(self._at(start, "what was written reads back otherwise"))
            done += length if name != ZERO_ID else 0
        if done:
            progress(done)
        return part_digests(buffer)

    def _segments(self, start: int) -> Iterator[tuple[int, list[bytes]]]:
        """Number of the first chunk, and the ids, of each segment from the one that holds byte ``start``."""
        for segment in range(start // self._chunk_size // SEGMENT_CHUNKS, self._table.segments):
            yield segment * SEGMENT_CHUNKS, split_ids(self._table.segment(segment))

    def _windows(self, start: int, chunks: int) -> Iterator[_Stretch]:
        """The disk from ``start`` in windows; those of holes alone are left out, but never the last."""
        if start >= self.disk.size:
            return
        for first, ids in self._segments(start):
            skip = max(start // self._chunk_size - first, 0)
            for at in range(skip, len(ids), chunks):
                window = ids[at : at + chunks]
                last = (first + at + len(window)) * self._chunk_size >= self.disk.size
                if last or any(name != ZERO_ID for name in window):
                    yield _Stretch(first + at, window)

    def _read_chunks(self, numbers: range) -> Iterator[tuple[int, bytes]]:
        """Offsets and contents of the chunks that hold data, the last read ones from memory."""
        places: dict[bytes, list[int]] = {}
        for number in numbers:
            if (name := self._id(number)) != ZERO_ID:
                places.setdefault(name, []).append(self._span(number)[0])
        recent = self._chunks.recent
        found = {name: chunk for name in places if (chunk := recent.get(name)) is not None}
        absent = {name: offsets for name, offsets in places.items() if name not in found}
        for fetch in self._plan(absent):
            for name, chunk in self._fetched(fetch, absent):
                recent.keep(name, chunk)
                found[name] = chunk
        for name, offsets in places.items():
            for offset in offsets:
                yield offset, found[name]

    def _id(self, number: int) -> bytes:
        segment, at = divmod(number, SEGMENT_CHUNKS)
        return self._table.segment(segment)[at * ID_BYTES : (at + 1) * ID_BYTES]

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


def _held(workers: Workers, window: _Stretch, looks: list[Future[list[int]]]) -> _Stretch:
    held = frozenset(number for look in looks for number in workers.result(look))
    return replace(window, held=held)


def _grow(tree: DiskTree, workers: Workers, start: int, check: Future[list[bytes]]) -> None:
    """Add the parts of a batch from the byte ``start`` on, after the holes before it."""
    digests = workers.result(check)
    tree.skip(start)
    tree.add(digests)
