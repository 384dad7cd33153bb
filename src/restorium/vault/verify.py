"""Holding a whole vault against its own digests: every pack read, every point's tables followed.

Damage is what does not match its digest twice. A storage that does not answer says nothing about the data: it is told
apart, and leads to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from uuid import UUID

from restorium.vault import manifests, opening
from restorium.vault.chunkstore import ChunkStore
from restorium.vault.keys import RandomBytes
from restorium.vault.marks import MOST_PACKS, Reason
from restorium.vault.packs import Location, has_header, pack_name, read_footer
from restorium.vault.plan import SEGMENT_CHUNKS
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vault.workers import Workers
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, NotFound, StorageUnavailable

_MOST_UNREAD = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and with which object of the storage or which restore point.

    transient: it could not be read, which says nothing about what it holds.
    """

    subject: str
    problem: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class PointCheck:
    """What a verification found of one restore point: nothing wrong if ``problems`` is empty.

    transient: it could not be read, which says nothing about it.
    """

    name: str
    problems: tuple[str, ...]
    transient: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``read_bytes`` of packs were read; nothing is wrong if ``findings`` is empty.

    checks: one a restore point, oldest first. quarantined: packs that were doomed for what is damaged in them.
    """

    packs: int
    points: int
    read_bytes: int
    findings: tuple[Finding, ...]
    checks: tuple[PointCheck, ...]
    quarantined: int


@dataclass(slots=True)
class _Damage:
    """What the packs were found to have: ``chunks`` by pack and id, ``packs`` of which no chunk can be found."""

    packs: set[bytes] = field(default_factory=set)
    chunks: set[tuple[bytes, bytes]] = field(default_factory=set)

    def has(self, location: Location) -> bool:
        return location.pack_id in self.packs or (location.pack_id, location.entry.id) in self.chunks


@dataclass(frozen=True, slots=True)
class _PackCheck:
    pack_id: bytes
    size: int
    findings: tuple[Finding, ...]
    lost: bool
    chunks: tuple[bytes, ...]


class Verification:
    """One run over a vault."""

    def __init__(
        self,
        chunks: ChunkStore,
        vault_id: UUID,
        chunk_size: int,
        progress: Callable[[int], None],
        cancelled: Callable[[], bool],
        threads: int,
    ) -> None:
        self._chunks = chunks
        self._vault_id = vault_id
        self._chunk_size = chunk_size
        self._progress = progress
        self._cancelled = cancelled
        self._threads = threads
        self._damage = _Damage()
        self._unread = 0
        self._whole: set[bytes] = set()

    def run(self, *, read_data: bool, quarantine: RandomBytes | None) -> VerifyReport:
        """See Vault.verify. ``quarantine``: doom damaged packs, with these random bytes."""
        self._chunks.sync()
        read_bytes = 0
        findings: list[Finding] = []
        damaged: dict[bytes, Reason] = {}
        checks: Iterator[_PackCheck] = self._read_packs() if read_data else iter(())
        for check in checks:
            read_bytes += check.size
            if check.lost:
                self._damage.packs.add(check.pack_id)
            self._damage.chunks |= {(check.pack_id, chunk_id) for chunk_id in check.chunks}
            # Of a doomed pack only what a point still needs matters, and that is found with the point.
            if not self._chunks.index.is_doomed(check.pack_id):
                findings += check.findings
                if any(not finding.transient for finding in check.findings):
                    damaged[check.pack_id] = Reason.DAMAGED
        packs = sum(1 for _ in self._chunks.list_packs())
        points = sorted(name for name, _ in manifests.listed(self._chunks.storage))
        results = [result for name in points if (result := self._check_point(name)) is not None]
        findings += [
            Finding(f"points/{each.name}", problem, each.transient)
            for each in results
            for problem in each.problems
        ]
        mend = quarantine is not None
        broken = opening.problems(self._chunks.storage, self._chunks.keyring, mend=mend)
        findings += [Finding(name, problem) for name, problem in broken]
        quarantined = 0 if quarantine is None else self._quarantine(damaged, quarantine)
        return VerifyReport(packs, len(results), read_bytes, tuple(findings), tuple(results), quarantined)

    def _read_packs(self) -> Iterator[_PackCheck]:
        reads: deque[Future[_PackCheck | None]] = deque()
        with Workers(self._threads, self._cancelled) as workers:
            for pack_id, size in self._chunks.list_packs():
                reads.append(workers.submit(self._read_pack, pack_id, size))
                while reads and reads[0].done():
                    yield from _present(reads.popleft().result())
            while reads:
                yield from _present(workers.result(reads.popleft()))

    def _read_pack(self, pack_id: bytes, size: int) -> _PackCheck | None:
        """None if a prune has removed the pack meanwhile."""
        name = pack_name(pack_id)
        problems: list[Finding] = []
        bad: list[bytes] = []
        lost = False
        try:
            content = self._chunks.storage.get_range(name, 0, size)
            locations = read_footer(self._chunks.storage, self._chunks.keyring, pack_id, size)
            if not has_header(content, pack_id):
                problems.append(Finding(name, "the header is damaged"))
            for location in locations:
                sealed = content[location.offset : location.end]
                if self._chunks.decode(location, sealed) is None and not self._reads_well(location):
                    bad.append(location.entry.id)
                    problem = f"chunk {location.entry.id.hex()[:16]} does not match its digest"
                    problems.append(Finding(name, problem))
        except (NotFound, DataCorrupt) as error:
            if isinstance(error, NotFound) and self._was_pruned(pack_id):
                return None
            lost = True
            problems.append(Finding(name, error.message))
        except StorageUnavailable as error:
            self._bear(error)
            problems.append(Finding(name, error.message, transient=True))
        self._progress(size)
        return _PackCheck(pack_id, size, tuple(problems), lost, tuple(bad))

    def _bear(self, error: StorageUnavailable) -> None:
        """One object that cannot be read leaves the others to be read; a storage that is gone does not."""
        self._unread += 1
        if self._unread > _MOST_UNREAD:
            raise error

    def _reads_well(self, location: Location) -> bool:
        """A second look, past whatever happened to the bytes on their way."""
        name, length = pack_name(location.pack_id), location.end - location.offset
        again = self._chunks.storage.get_range(name, location.offset, length)
        return self._chunks.decode(location, again) is not None

    def _was_pruned(self, pack_id: bytes) -> bool:
        self._chunks.marks.refresh()
        return self._chunks.index.is_doomed(pack_id)

    def _check_point(self, name: str) -> PointCheck | None:
        """None if the point was deleted meanwhile."""
        object_name = manifests.object_name(name)
        problems: list[str] = []
        try:
            content = self._chunks.storage.get(object_name)
            point = manifests.open_sealed(self._chunks.keyring, self._vault_id, name, content)
            for disk in point.disks:
                problems += self._disk_problems(disk)
        except NotFound:
            return None
        except (DataCorrupt, ChunkMissing) as error:
            problems.append(error.message)
        except StorageUnavailable as error:
            self._bear(error)
            return PointCheck(name, (error.message,), transient=True)
        if problems and not self._is_there(object_name):
            return None  # its chunks may have gone with it
        return PointCheck(name, tuple(problems))

    def _disk_problems(self, disk: DiskRecord) -> Iterator[str]:
        """What neighbouring points share is looked at once."""
        if disk.root == ZERO_ID or disk.root in self._whole:
            return
        try:
            table = DiskTable(disk, self._chunk_size, self._chunks.table_chunk)
        except (DataCorrupt, ChunkMissing) as error:
            yield error.message
            return
        whole = True
        for number in range(table.segments):
            segment = table.segment_id(number)
            if segment == ZERO_ID or segment in self._whole:
                continue
            start = number * SEGMENT_CHUNKS * self._chunk_size
            problem = self._segment_problem(table, number, start, disk)
            if problem is None:
                self._whole.add(segment)
            else:
                whole = False
                yield problem
        if whole:
            self._whole.add(disk.root)

    def _segment_problem(self, table: DiskTable, number: int, start: int, disk: DiskRecord) -> str | None:
        """Which bytes of the disk a segment has lost."""
        try:
            ids = split_ids(table.segment(number))
        except (DataCorrupt, ChunkMissing) as error:
            return error.message
        wanted = {each for each in ids if each != ZERO_ID}
        found = self._chunks.locate(wanted)
        missing = wanted.difference(found)
        doubtful = {each for each, location in found.items() if self._damage.has(location)}
        bad = {
            each
            for each in doubtful
            if all(self._damage.has(location) for location in self._chunks.index.locations(each))
        }
        lost = [at for at, each in enumerate(ids) if each in missing or each in bad]
        if not lost:
            return None
        first = start + lost[0] * self._chunk_size
        last = min(start + (lost[-1] + 1) * self._chunk_size, disk.size)
        kinds = [f"misses {len(missing)} chunks"] if missing else []
        kinds += [f"{len(bad)} chunks are damaged"] if bad else []
        return f"disk {disk.key!r}, bytes {first} to {last}: {' and '.join(kinds)}"

    def _is_there(self, object_name: str) -> bool:
        try:
            self._chunks.storage.modified(object_name)
        except NotFound:
            return False
        return True

    def _quarantine(self, damaged: dict[bytes, Reason], random_bytes: RandomBytes) -> int:
        packs = list(damaged)
        for start in range(0, len(packs), MOST_PACKS):
            self._chunks.marks.add(
                dict.fromkeys(packs[start : start + MOST_PACKS], Reason.DAMAGED), random_bytes
            )
        return len(packs)


def _present(check: _PackCheck | None) -> list[_PackCheck]:
    return [] if check is None else [check]
