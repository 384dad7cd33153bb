"""What a disk's earlier point says of its chunks, as far as the vault still has them."""

from __future__ import annotations

from restorium.vault.chunkstore import ChunkStore
from restorium.vault.log import warn
from restorium.vault.packs import ID_BYTES
from restorium.vault.packwriter import PackWriter
from restorium.vault.plan import SEGMENT_CHUNKS
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt

UNKNOWN_ID = b"\xff" * ID_BYTES
"""Equals no chunk's id: the parent does not know, or the vault has lost, what is there."""


class ParentIds:
    """The parent's ids, a segment at a time; unknown where there is no parent or its table cannot be read."""

    def __init__(
        self, chunks: ChunkStore, packs: PackWriter, chunk_size: int, parent: DiskRecord | None, size: int
    ) -> None:
        self._packs = packs
        self._table: DiskTable | None = None
        # A chunk that either disk ends in does not have the same length in both.
        self._common = 0
        if parent is not None and parent.size == size:
            self._common = -(-size // chunk_size)
        elif parent is not None:
            self._common = min(parent.size, size) // chunk_size
        if parent is not None:
            try:
                self._table = DiskTable(parent, chunk_size, chunks.table_chunk)
            except (ChunkMissing, DataCorrupt) as error:
                warn("the parent's table is lost; the disk is read whole", error=error.message)

    def segment(self, number: int, count: int) -> bytes:
        """The ids of the segment's first ``count`` chunks."""
        known = b""
        if self._table is not None and number < self._table.segments:
            try:
                known = self._table.segment(number)
            except (ChunkMissing, DataCorrupt) as error:
                warn("a part of the parent's table is lost and read again", error=error.message)
        first = number * SEGMENT_CHUNKS
        ids = split_ids(known)[: max(0, min(count, self._common - first))]
        lost = self._packs.missing({each for each in ids if each != ZERO_ID})
        ids = [UNKNOWN_ID if each in lost else each for each in ids]
        return b"".join(ids) + UNKNOWN_ID * (count - len(ids))
