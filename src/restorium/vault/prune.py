"""Giving back the room of chunks that no point needs, in two phases and without a lock.

One run dooms packs, by a mark on the storage, and copies what is still needed out of them; a later one removes the
packs that were doomed long enough before it began, once everything needed in them lies elsewhere too. A run may
stop anywhere, and several may run at once, beside any number of writers and readers: docs/vault-format.md proves it.

Nothing is removed on the word of the local index: what a pack holds is read from its own footer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from uuid import UUID

from restorium.vault import manifests, opening
from restorium.vault.chunkstore import ChunkStore
from restorium.vault.keys import RandomBytes
from restorium.vault.live import chunk_ids, keep
from restorium.vault.marks import MOST_PACKS, Reason
from restorium.vault.packs import Location, pack_name, parse_pack_name, read_footer
from restorium.vault.packwriter import PackWriter
from restorium.vault.survey import Held, Survey
from restorium.vault.tables import DiskRecord
from restorium.vault.trusted_time import TrustedTime
from restorium.vocabulary.errors import Cancelled, ChunkMissing, DataCorrupt, NotAVault, NotFound

_FOOTERS = 32

Progress = Callable[[str, int, int], None]
"""Told of a phase, how many of its steps are done, and of how many."""


@dataclass(frozen=True, slots=True)
class PrunePolicy:
    """What a prune may take away, by the storage's own clock.

    grace: between dooming a pack and removing it; longer than the storage's lists may lag behind and than most reads
    take. youngest: packs younger than this are left to the backup that may be writing them. intent_age: after
    which a writer that has not come to its end is taken for dead. mark_age: for how long finished marks stay.
    sparse: packs of which less than this share is needed are copied together, up to ``most_copied`` bytes a run.
    """

    grace: timedelta = timedelta(hours=6)
    youngest: timedelta = timedelta(days=1)
    intent_age: timedelta = timedelta(days=7)
    mark_age: timedelta = timedelta(days=30)
    sparse: float = 0.5
    most_copied: int = 8 * 1024**3


@dataclass(slots=True)
class PruneReport:
    """What a run did. Bytes are those of packs.

    waiting: doomed packs that stay for now. unreadable: points whose tables cannot be read, and why; while there is
    one, nothing is removed or doomed. lost: chunks that some point needs and that cannot be read.
    """

    points: int = 0
    packs: int = 0
    removed_packs: int = 0
    removed_bytes: int = 0
    doomed_packs: int = 0
    doomed_bytes: int = 0
    copied_bytes: int = 0
    waiting_packs: int = 0
    waiting_bytes: int = 0
    lost_chunks: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


class Prune:
    """One run."""

    def __init__(
        self,
        chunks: ChunkStore,
        vault_id: UUID,
        chunk_size: int,
        policy: PrunePolicy,
        trusted_time: TrustedTime,
        random_bytes: RandomBytes,
        progress: Progress,
        cancelled: Callable[[], bool],
    ) -> None:
        self._chunks = chunks
        self._vault_id = vault_id
        self._chunk_size = chunk_size
        self._policy = policy
        self._trusted_time = trusted_time
        self._random_bytes = random_bytes
        self._progress = progress
        self._cancelled = cancelled
        self._footers: OrderedDict[bytes, frozenset[bytes]] = OrderedDict()
        self._report = PruneReport()

    def run(self) -> PruneReport:
        """Raises Cancelled, NotAVault if it is gone, StorageUnavailable, RepositoryFull."""
        self._check_there()
        now = self._chunks.storage.now()
        # In this order, on which the proof rests: marks, packs, intents, points.
        marks = [(mark.number, mark.modified, mark.packs) for mark in self._chunks.marks.all()]
        self._chunks.sync()
        with Survey.open(self._chunks.index) as survey:
            for _, modified, packs in marks:
                if now - modified >= self._policy.grace:
                    survey.add_ripe(packs)
            survey.add_listed(self._listed())
            intents = list(manifests.listed(self._chunks.storage, intents=True))
            self._walk(survey, [name for name, _ in intents], manifests.intent_name)
            points = {name for name, _ in manifests.listed(self._chunks.storage)}
            self._report.points = len(points)
            self._walk(survey, sorted(points), manifests.object_name)
            self._check_there()  # a file system that is gone lists no points
            if not self._report.unreadable:
                self._sweep(survey)
                self._doom(survey, now)
            for name, found in intents:
                age = now - found.modified
                if age >= (self._policy.grace if name in points else self._policy.intent_age):
                    self._chunks.storage.delete(found.name)
            newest = max((number for number, _, _ in marks), default=0)
            for number, modified, packs in marks:
                done = number != newest and now - modified >= self._policy.mark_age
                if done and not survey.has(packs):
                    self._chunks.marks.remove(number)
        return self._report

    def _check_there(self) -> None:
        try:
            self._chunks.storage.modified(opening.NAME)
        except NotFound as error:
            raise NotAVault(f"there is no vault at {self._chunks.storage.url} any more") from error

    def _listed(self) -> Iterator[tuple[bytes, int, datetime]]:
        for found in self._chunks.storage.list("packs"):
            pack_id = parse_pack_name(found.name)
            if pack_id is not None:
                self._report.packs += 1
                yield pack_id, found.size, found.modified

    def _walk(self, survey: Survey, names: Collection[str], object_of: Callable[[str], str]) -> None:
        """Note what the manifests need. One that has gone meanwhile needs nothing."""
        for done, name in enumerate(names):
            self._step("points", done, len(names))
            try:
                content = self._chunks.storage.get(object_of(name))
            except NotFound:
                continue
            try:
                point = manifests.open_sealed(self._chunks.keyring, self._vault_id, name, content)
                for disk in point.disks:
                    self._add_needed(survey, disk, locked=self._is_locked(point))
            except (DataCorrupt, ChunkMissing) as error:
                self._report.unreadable.append((object_of(name), error.message))

    def _add_needed(self, survey: Survey, disk: DiskRecord, *, locked: bool) -> None:
        def is_new(table_id: bytes) -> bool:
            return survey.first_walk(table_id, locked=locked)

        for _, ids in chunk_ids(self._chunks, self._chunk_size, disk, is_new):
            self._check()
            survey.add_needed(ids, locked=locked)

    def _is_locked(self, point: manifests.PointDescription) -> bool:
        """Whether packs that hold anything of the point are not to be touched."""
        return point.locked_until is not None and self._believed_now < point.locked_until

    @cached_property
    def _believed_now(self) -> datetime:
        return self._trusted_time.now()

    def _sweep(self, survey: Survey) -> None:
        """Remove what was doomed long ago, and copy what is needed out of what stays."""
        doomed = survey.doomed()
        stay: list[bytes] = []
        for done, (pack_id, size) in enumerate(doomed):
            self._step("removing", done, len(doomed))
            if survey.is_ripe(pack_id) and self._may_go(survey, pack_id, size):
                self._chunks.storage.delete(pack_name(pack_id))
                self._report.removed_packs += 1
                self._report.removed_bytes += size
            else:
                stay.append(pack_id)
                self._report.waiting_packs += 1
                self._report.waiting_bytes += size
        self._copy(survey, stay)

    def _may_go(self, survey: Survey, pack_id: bytes, size: int) -> bool:
        try:
            held = read_footer(self._chunks.storage, self._chunks.keyring, pack_id, size)
        except DataCorrupt:
            return False
        except NotFound:
            return True  # another prune was faster
        needed = survey.needed([location.entry.id for location in held])
        if any(needed.values()):
            return False
        elsewhere = self._chunks.index.locate(needed, lasting=True)
        packs = {chunk_id: location.pack_id for chunk_id, location in elsewhere.items()}
        return all(
            chunk_id in packs
            and not survey.is_doomed(packs[chunk_id])
            and self._has(packs[chunk_id], chunk_id)
            for chunk_id in needed
        )

    def _has(self, pack_id: bytes, chunk_id: bytes) -> bool:
        """Whether the pack is there and says itself that it holds the chunk."""
        if pack_id not in self._footers:
            size = self._chunks.index.size(pack_id)
            try:
                held = read_footer(self._chunks.storage, self._chunks.keyring, pack_id, size)
            except (DataCorrupt, NotFound):
                held = []
            self._footers[pack_id] = frozenset(location.entry.id for location in held)
            if len(self._footers) > _FOOTERS:
                self._footers.popitem(last=False)
        return chunk_id in self._footers[pack_id]

    def _copy(self, survey: Survey, pack_ids: Sequence[bytes]) -> None:
        """Copy what some point needs out of doomed packs, so that a later run can remove them."""
        packs = PackWriter(self._chunks, None, self._random_bytes)
        try:
            for done, pack_id in enumerate(pack_ids):
                self._step("copying", done, len(pack_ids))
                for kind, locations in groupby(self._held(pack_id), lambda location: location.entry.kind):
                    ids = survey.needed([location.entry.id for location in locations])
                    self._report.lost_chunks += len(keep(self._chunks, packs, kind, ids))
            packs.finish()
        finally:
            packs.abandon()
        self._report.copied_bytes += packs.stored_bytes

    def _held(self, pack_id: bytes) -> list[Location]:
        size = self._chunks.index.size(pack_id)
        try:
            return read_footer(self._chunks.storage, self._chunks.keyring, pack_id, size)
        except (DataCorrupt, NotFound):
            return []

    def _doom(self, survey: Survey, now: datetime) -> None:
        """Doom packs that nothing or hardly anything is needed of, and copy that."""
        chosen = list(self._choose(survey.held(now - self._policy.youngest)))
        for start in range(0, len(chosen), MOST_PACKS):
            page = chosen[start : start + MOST_PACKS]
            reasons = {each.pack_id: Reason.SPARSE if each.needed else Reason.DEAD for each in page}
            self._chunks.marks.add(reasons, self._random_bytes)
        self._report.doomed_packs = len(chosen)
        self._report.doomed_bytes = sum(each.size for each in chosen)
        self._report.waiting_packs += len(chosen)
        self._report.waiting_bytes += self._report.doomed_bytes
        self._copy(survey, [each.pack_id for each in chosen if each.needed])

    def _choose(self, held: Iterable[Held]) -> Iterator[Held]:
        room = self._policy.most_copied
        for pack in held:
            if pack.locked:
                continue
            room -= pack.needed
            if pack.needed and (pack.needed >= pack.stored * self._policy.sparse or room < 0):
                return
            yield pack

    def _step(self, phase: str, done: int, total: int) -> None:
        self._check()
        self._progress(phase, done, total)

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled("the prune was cancelled")
