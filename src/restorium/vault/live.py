"""What a point needs: every chunk that its disks' tables name, the tables' own chunks among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from restorium.vault.chunkstore import ChunkStore
from restorium.vault.packs import Kind
from restorium.vault.packwriter import PackWriter
from restorium.vault.tables import ZERO_ID, DiskRecord, DiskTable, split_ids
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt


def chunk_ids(
    chunks: ChunkStore,
    chunk_size: int,
    disk: DiskRecord,
    is_new: Callable[[bytes], bool] = lambda table_id: True,
) -> Iterator[tuple[Kind, set[bytes]]]:
    """The ids of the disk's chunks, a part of its table at a time.

    is_new: asked for each part's id; where it says no, what lies below is left out. Raises ChunkMissing or DataCorrupt
    if a part of the table is lost.
    """
    if disk.root == ZERO_ID or not is_new(disk.root):
        return
    yield Kind.TABLE, {disk.root}
    table = DiskTable(disk, chunk_size, chunks.table_chunk)
    for number in range(table.segments):
        segment = table.segment_id(number)
        if segment == ZERO_ID or not is_new(segment):
            continue
        yield Kind.TABLE, {segment}
        yield Kind.DATA, set(split_ids(table.segment(number))) - {ZERO_ID}


def keep(chunks: ChunkStore, packs: PackWriter, kind: Kind, ids: Iterable[bytes]) -> set[bytes]:
    """Copy to a new pack what of the chunks lies in doomed packs alone; gives those that cannot be read any more."""
    lost = set()
    for chunk_id in packs.missing(set(ids)):
        try:
            packs.store(kind, chunk_id, chunks.read(chunk_id))
        except (ChunkMissing, DataCorrupt):
            lost.add(chunk_id)
    return lost
