"""What a vault's room is used for: deduplication, compression, and what each point adds and holds alone.

Points are gone through from the oldest to the newest. What neighbours share is looked at twice at most, and what is
counted lies in a temporary database: memory does not grow with the vault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from restorium.vault import manifests, temporary
from restorium.vault.chunkstore import ChunkStore
from restorium.vault.manifests import PointDescription
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vocabulary.errors import Cancelled, ChunkMissing, DataCorrupt, NotFound

_SHARED = -1
_SCHEMA = """
CREATE TABLE part (id BLOB PRIMARY KEY, owner INTEGER NOT NULL, data INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE used (id BLOB PRIMARY KEY, owner INTEGER NOT NULL, first INTEGER NOT NULL) WITHOUT ROWID;
"""
_SUMS = """
SELECT used.first, used.owner, sum(kept.stored), sum(kept.plain)
FROM used JOIN (
    SELECT id, min(stored) AS stored, min(plain) AS plain FROM known.chunks GROUP BY id
) AS kept ON kept.id = used.id
GROUP BY used.first, used.owner
"""

Progress = Callable[[int, int], None]
"""Told how many points are done, and of how many."""


@dataclass(frozen=True, slots=True)
class PointStats:
    """One point, in bytes. ``size``: of its disks; ``data``: what of them is no hole.

    added: what it takes in the vault beyond the points before it. alone: what no other point needs, which a prune
    would give back if it were deleted.
    """

    name: str
    created: datetime
    size: int
    data: int
    added: int
    alone: int


@dataclass(frozen=True, slots=True)
class VaultStats:
    """In bytes. ``data``: of all points, were each kept by itself; ``distinct``: without what is the same.

    needed: what that takes, compressed and encrypted; stored: what all packs take, with what no point needs any more.
    points: oldest first, those that cannot be read left out.
    """

    data: int
    distinct: int
    needed: int
    stored: int
    points: tuple[PointStats, ...]

    @property
    def deduplication(self) -> float:
        """How many times smaller."""
        return self.data / self.distinct if self.distinct else 1.0

    @property
    def compression(self) -> float:
        """How many times smaller."""
        return self.distinct / self.needed if self.needed else 1.0


class Counting:
    """One look at a whole vault."""

    def __init__(self, chunks: ChunkStore, vault_id: UUID, chunk_size: int) -> None:
        self._chunks = chunks
        self._vault_id = vault_id
        self._chunk_size = chunk_size

    def run(self, progress: Progress, cancelled: Callable[[], bool]) -> VaultStats:
        """Raises Cancelled, StorageUnavailable."""
        self._chunks.sync()
        index = self._chunks.index
        with temporary.database(index, _SCHEMA) as connection:
            self._connection = connection
            names = sorted(name for name, _ in manifests.listed(self._chunks.storage))
            points: list[tuple[str, PointDescription, int]] = []
            for number, name in enumerate(names):
                if cancelled():
                    raise Cancelled("counting what the repository holds was cancelled")
                progress(number, len(names))
                try:
                    point = self._point(name)
                    data = sum(self._disk(disk, len(points)) for disk in point.disks)
                except (NotFound, DataCorrupt, ChunkMissing):
                    continue
                points.append((name, point, data))
            progress(len(names), len(names))
            sums = self._connection.execute(_SUMS).fetchall()
        added: Counter[int] = Counter()
        alone: Counter[int] = Counter()
        for first, owner, stored, _ in sums:
            added[first] += stored
            alone[owner] += stored
        return VaultStats(
            data=sum(data for _, _, data in points),
            distinct=sum(plain for _, _, _, plain in sums),
            needed=sum(stored for _, _, stored, _ in sums),
            stored=index.stored_bytes(),
            points=tuple(
                PointStats(
                    name,
                    point.created,
                    size=sum(disk.size for disk in point.disks),
                    data=data,
                    added=added[number],
                    alone=alone[number],
                )
                for number, (name, point, data) in enumerate(points)
            ),
        )

    def _point(self, name: str) -> PointDescription:
        content = self._chunks.storage.get(manifests.object_name(name))
        return manifests.open_sealed(self._chunks.keyring, self._vault_id, name, content)

    def _disk(self, disk: DiskRecord, point: int) -> int:
        """Count what the disk uses; gives its data in bytes."""
        if disk.root == ZERO_ID:
            return 0
        table = DiskTable(disk, self._chunk_size, self._chunks.table_chunk)
        self._use([disk.root], point)
        data = 0
        for number in range(table.segments):
            segment = table.segment_id(number)
            if segment != ZERO_ID:
                data += self._segment(table, number, segment, point)
        return min(data * self._chunk_size, disk.size)

    def _segment(self, table: DiskTable, number: int, segment: bytes, point: int) -> int:
        row = self._connection.execute("SELECT owner, data FROM part WHERE id = ?", (segment,)).fetchone()
        if row is not None and row[0] in (point, _SHARED):
            return int(row[1])
        ids = [each for each in split_ids(table.segment(number)) if each != ZERO_ID]
        owner = point if row is None else _SHARED
        self._connection.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", (segment, owner, len(ids)))
        self._use([segment, *ids], point)
        return len(ids)

    def _use(self, ids: list[bytes], point: int) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO used VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET owner = ? WHERE owner != excluded.owner",
            ((each, point, point, _SHARED) for each in ids),
        )
        self._connection.execute("COMMIT")
