"""Writing a restore point: disks into chunks and tables, then the manifest that makes the point exist."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

from restorium.disks.interface import DiskReader, Extent
from restorium.vault import manifests, opening
from restorium.vault.chunks import DataIds
from restorium.vault.chunkstore import ChunkStore
from restorium.vault.keys import RandomBytes
from restorium.vault.live import chunk_ids, keep
from restorium.vault.log import warn
from restorium.vault.manifests import PointDescription
from restorium.vault.packs import ID_BYTES, Kind
from restorium.vault.packwriter import PackWriter
from restorium.vault.parent import UNKNOWN_ID, ParentIds
from restorium.vault.plan import SEGMENT_CHUNKS, runs, segment_masks
from restorium.vault.spot_check import ListOfChangesWrong, SpotCheck
from restorium.vault.tables import ZERO_ID, DiskRecord, split_ids
from restorium.vault.trusted_time import TrustedTime
from restorium.vault.workers import Workers
from restorium.vocabulary.errors import (
    ChunkMissing,
    DataCorrupt,
    InvalidInput,
    NotFound,
    StorageUnavailable,
    VaultError,
)

_BATCH_CHUNKS = 8
_TOO_LATE = "a prune took away chunks that the backup had found, for the backup took too long"


@dataclass(frozen=True, slots=True)
class BackupStats:
    """Bytes of disk that were read, that are holes or known not to have changed, and that are new to the
    vault.

    unchanged_bytes: same as in the parent, whether read or not. stored_bytes: what the packs written take.
    """

    read_bytes: int = 0
    hole_bytes: int = 0
    unchanged_bytes: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """Neighbouring chunks as read: the first in its segment, and their ids one behind the other."""

    first: int
    ids: bytes
    stats: BackupStats


class _Segment:
    """A segment of the disk's table in the making.

    ids: its table. old: the parent's ids of the same chunks. wanted: 1 for each chunk to be read. kept: 1 for
    each taken from the parent unread; the others are holes.
    """

    def __init__(self, number: int, wanted: bytearray, old: bytes) -> None:
        self.number = number
        self.wanted = wanted
        self.old = old
        self.ids = bytearray(len(old))
        self.kept = bytearray(len(wanted))

    def keep_untouched(self, touched: bytearray, check: SpotCheck) -> None:
        """Take from the parent what is not touched, as far as the parent knows it.

        Offered to ``check`` is what may differ: not what is a hole now and was nothing but zeros.
        """
        first = self.number * SEGMENT_CHUNKS
        for chunk, is_touched in enumerate(touched):
            old = self.old[chunk * ID_BYTES : (chunk + 1) * ID_BYTES]
            if not is_touched and old != UNKNOWN_ID:
                self.ids[chunk * ID_BYTES : (chunk + 1) * ID_BYTES] = old
                if self.wanted[chunk] or old != ZERO_ID:
                    check.offer(first + chunk, old)
                self.kept[chunk] = 1
                self.wanted[chunk] = 0


class BackupWriter:
    """One restore point in the making.

    Leaving the block without ``commit`` leaves only packs that no point names.
    """

    def __init__(
        self,
        chunks: ChunkStore,
        vault_id: UUID,
        chunk_size: int,
        trusted_time: TrustedTime,
        *,
        quota_bytes: int | None,
        random_bytes: RandomBytes,
        threads: int,
    ) -> None:
        self._chunks = chunks
        self._vault_id = vault_id
        self._chunk_size = chunk_size
        self._trusted_time = trusted_time
        self._random_bytes = random_bytes
        self._threads = threads
        self._quota_bytes = quota_bytes
        self._packs = PackWriter(chunks, quota_bytes, random_bytes)
        self._ids = DataIds(chunks.keyring, chunk_size)
        self._buffers = threading.local()
        self._stats = BackupStats()
        self._newest_mark = 0
        self.distrusted: dict[str, str] = {}
        """Disks, by key, whose lists of changes were wrong, and where; they were read whole."""

    def __enter__(self) -> Self:
        self._newest_mark = self._chunks.sync()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._packs.abandon()

    @property
    def stats(self) -> BackupStats:
        """Sums over the disks written so far."""
        return replace(self._stats, stored_bytes=self._packs.stored_bytes)

    def write_disk(
        self,
        key: str,
        reader: DiskReader,
        parent: DiskRecord | None,
        progress: Callable[[int], None],
        cancelled: Callable[[], bool],
        *,
        changed: Iterable[Extent] | None = None,
    ) -> DiskRecord:
        """Store what of the disk the vault does not have.

        parent: the disk in an earlier point; its table tells what is unchanged. progress: called with newly
        completed bytes, holes included; they sum up to the disk's size. changed: what may differ from the
        parent, in order of offset; the rest is taken from the parent unread, but for a few chunks that are
        read all the same: if they are not the parent's, the disk is read whole and ``distrusted`` says so.
        Raises Cancelled, RepositoryFull, StorageUnavailable, and what the reader raises.
        """
        if parent is not None and changed is not None:
            before = self._stats
            try:
                return self._write_disk(key, reader, parent, progress, cancelled, changed)
            except ListOfChangesWrong as wrong:
                warn("a list of changes is wrong; the disk is read whole", disk=key, error=str(wrong))
                self.distrusted[key] = str(wrong)
            self._stats = before
            progress = _told_already
        return self._write_disk(key, reader, parent, progress, cancelled, None)

    def _write_disk(
        self,
        key: str,
        reader: DiskReader,
        parent: DiskRecord | None,
        progress: Callable[[int], None],
        cancelled: Callable[[], bool],
        changed: Iterable[Extent] | None,
    ) -> DiskRecord:
        """Raises ListOfChangesWrong, once all is passed on to ``progress``."""
        parent_ids = ParentIds(self._chunks, self._packs, self._chunk_size, parent, reader.size)
        present = segment_masks(reader.extents(), reader.size, self._chunk_size)
        touched = check = None
        if changed is not None:
            touched = segment_masks(changed, reader.size, self._chunk_size)
            check = SpotCheck(self._random_bytes, self._ids, self._chunk_size)
        root = bytearray()
        with Workers(self._threads, cancelled) as workers:
            for number, wanted in enumerate(present):
                workers.check()
                old = parent_ids.segment(number, len(wanted))
                segment = _Segment(number, wanted, old)
                if touched is not None and check is not None:
                    segment.keep_untouched(next(touched), check)
                self._pass_unread(segment, reader.size, progress)
                self._read_segment(segment, reader, workers, progress)
                root += self._store_table(segment.ids)
            if check is not None:
                self._count(BackupStats(read_bytes=check.run(reader)))
            return DiskRecord(key, reader.size, self._store_table(root))

    def commit(
        self, description: PointDescription, announce: Callable[[str], None] = lambda name: None
    ) -> str:
        """Make the point exist, once all it needs is on the storage to stay; returns its name.

        announce: called with the name before anything is written under it.
        Raises RepositoryFull, StorageUnavailable, InvalidInput if two disks have one key, and what ``announce`` raises.
        """
        keys = [disk.key for disk in description.disks]
        if len(set(keys)) != len(keys):
            raise InvalidInput(f"a restore point cannot hold two disks of one key, as in {keys}")
        self._packs.finish()
        days = opening.protected_days(self._chunks.storage, self._chunks.keyring)
        locked = self._trusted_time.now() + timedelta(days=days) if days else None
        description = replace(description, locked_until=locked)
        name = manifests.new_name(description.created, self._random_bytes)
        content = manifests.seal(self._chunks.keyring, self._vault_id, name, description, self._random_bytes)
        announce(name)
        storage = self._chunks.storage
        # From here on no prune takes away what the point needs; what one has decided before, the marks tell.
        storage.put(manifests.intent_name(name), content)
        try:
            if self._chunks.marks.refresh() != self._newest_mark:
                self._keep_all(description)
            storage.put(manifests.object_name(name), content)
            # A prune that took this writer for dead may have removed the intent, and then chunks.
            storage.modified(manifests.intent_name(name))
        except BaseException as error:
            with suppress(VaultError):
                storage.delete(manifests.object_name(name))
                storage.delete(manifests.intent_name(name))
            if isinstance(error, NotFound):
                raise StorageUnavailable(_TOO_LATE) from error
            raise
        return name

    def _keep_all(self, description: PointDescription) -> None:
        """Copy what lies in packs that were doomed since this writer began."""
        self._chunks.sync()
        packs = PackWriter(self._chunks, self._quota_bytes, self._random_bytes)
        try:
            for disk in description.disks:
                try:
                    parts = chunk_ids(self._chunks, self._chunk_size, disk)
                    lost = any(keep(self._chunks, packs, kind, ids) for kind, ids in parts)
                except (ChunkMissing, DataCorrupt):
                    lost = True
                if lost:
                    raise StorageUnavailable(_TOO_LATE)
            packs.finish()
        finally:
            packs.abandon()

    def _pass_unread(self, segment: _Segment, size: int, progress: Callable[[int], None]) -> None:
        start = segment.number * SEGMENT_CHUNKS * self._chunk_size
        length = min(len(segment.wanted) * self._chunk_size, size - start)
        read = sum(self._span(segment, *run, size) for run in runs(segment.wanted, SEGMENT_CHUNKS))
        kept = sum(self._span(segment, *run, size) for run in runs(segment.kept, SEGMENT_CHUNKS))
        self._count(BackupStats(hole_bytes=length - read - kept, unchanged_bytes=kept))
        if length > read:
            progress(length - read)

    def _span(self, segment: _Segment, first: int, end: int, size: int) -> int:
        base = segment.number * SEGMENT_CHUNKS
        return min((base + end) * self._chunk_size, size) - (base + first) * self._chunk_size

    def _read_segment(
        self, segment: _Segment, reader: DiskReader, workers: Workers, progress: Callable[[int], None]
    ) -> None:
        batches: deque[Future[_Batch]] = deque()
        for first, end in runs(segment.wanted, _BATCH_CHUNKS):
            length = self._span(segment, first, end, reader.size)
            batches.append(workers.submit(self._read_batch, segment, first, end, length, reader, progress))
            while batches[0].done():
                self._take(batches.popleft().result(), segment)
                if not batches:
                    break
        while batches:
            self._take(workers.result(batches.popleft()), segment)

    def _read_batch(
        self,
        segment: _Segment,
        first: int,
        end: int,
        length: int,
        reader: DiskReader,
        progress: Callable[[int], None],
    ) -> _Batch:
        buffer = self._buffer()[:length]
        base = segment.number * SEGMENT_CHUNKS
        reader.read_into((base + first) * self._chunk_size, buffer)
        pieces = [buffer[at : at + self._chunk_size] for at in range(0, length, self._chunk_size)]
        ids = [self._ids.of(piece) for piece in pieces]
        old = split_ids(segment.old[first * ID_BYTES : end * ID_BYTES])
        differing = {each for each, before in zip(ids, old, strict=True) if each not in (before, ZERO_ID)}
        missing = self._packs.missing(differing) if differing else set()
        new = same = 0
        for name, before, piece in zip(ids, old, pieces, strict=True):
            if name == before:
                same += len(piece)
            elif name in missing and self._packs.store(Kind.DATA, name, piece):
                new += len(piece)
        progress(length)
        return _Batch(
            first, b"".join(ids), BackupStats(read_bytes=length, unchanged_bytes=same, new_bytes=new)
        )

    def _take(self, batch: _Batch, segment: _Segment) -> None:
        start = batch.first * ID_BYTES
        segment.ids[start : start + len(batch.ids)] = batch.ids
        self._count(batch.stats)

    def _count(self, more: BackupStats) -> None:
        sums = self._stats
        self._stats = BackupStats(
            sums.read_bytes + more.read_bytes,
            sums.hole_bytes + more.hole_bytes,
            sums.unchanged_bytes + more.unchanged_bytes,
            sums.new_bytes + more.new_bytes,
        )

    def _store_table(self, ids: bytearray) -> bytes:
        """Store a segment or root; returns its id."""
        if not any(ids):
            return ZERO_ID
        name = self._chunks.keyring.table_id(ids)
        if self._packs.missing([name]):
            self._packs.store(Kind.TABLE, name, bytes(ids))
        return name

    def _buffer(self) -> memoryview:
        """This thread's own, for one batch."""
        if not hasattr(self._buffers, "view"):
            self._buffers.view = memoryview(bytearray(_BATCH_CHUNKS * self._chunk_size))
        view: memoryview = self._buffers.view
        return view


def _told_already(count: int) -> None:
    """Progress of what is done for the second time."""
