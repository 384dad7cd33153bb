"""Disk tables: the ids of a disk's chunks, in segments that are chunks themselves.

A segment names 4096 chunks (1 GiB of disk) by 32 bytes each; the root names the segments. Thirty-two zeros
stand for a piece that is all zeros: a chunk of the disk, a segment or the root; none of those is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from restorium.vault.packs import ID_BYTES
from restorium.vault.plan import SEGMENT_CHUNKS, count_chunks, count_segments
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt

ZERO_ID = bytes(ID_BYTES)

TableChunks = Callable[[bytes, int], bytes]
"""Gives the table chunk of an id and a length in bytes."""


@dataclass(frozen=True, slots=True)
class DiskRecord:
    """One disk of a restore point. ``key`` is unique in its point; ``root`` is the id of the table's root."""

    key: str
    size: int
    root: bytes

    def to_json(self) -> dict[str, Any]:
        return {"key": self.key, "size": self.size, "root": self.root.hex()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> DiskRecord:
        """What ``to_json`` gave. Raises ValueError, KeyError or TypeError for anything else."""
        record = cls(str(value["key"]), int(value["size"]), bytes.fromhex(value["root"]))
        if len(record.root) != ID_BYTES or record.size < 0:
            raise ValueError("not a disk record")
        return record


class DiskTable:
    """A stored table, read a segment at a time. What is lost of it is told with the disk and its bytes."""

    def __init__(self, disk: DiskRecord, chunk_size: int, chunks: TableChunks) -> None:
        self._disk = disk
        self._segment_bytes = SEGMENT_CHUNKS * chunk_size
        self._chunks = chunks
        self._total = count_chunks(disk.size, chunk_size)
        self.segments = count_segments(disk.size, chunk_size)
        self._root = self._load(disk.root, self.segments, range(disk.size))

    def segment_id(self, number: int) -> bytes:
        return self._root[number * ID_BYTES : (number + 1) * ID_BYTES]

    def segment(self, number: int) -> bytes:
        """The ids of the segment's chunks, one behind the other. Raises ChunkMissing, DataCorrupt."""
        count = min(SEGMENT_CHUNKS, self._total - number * SEGMENT_CHUNKS)
        start = number * self._segment_bytes
        named = range(start, min(start + self._segment_bytes, self._disk.size))
        return self._load(self.segment_id(number), count, named)

    def _load(self, chunk_id: bytes, count: int, named: range) -> bytes:
        """``named``: the bytes of the disk that it is about."""
        length = count * ID_BYTES
        if chunk_id == ZERO_ID:
            return bytes(length)
        try:
            return self._chunks(chunk_id, length)
        except (ChunkMissing, DataCorrupt) as error:
            place = f"disk {self._disk.key!r}, bytes {named.start} to {named.stop}"
            raise type(error)(f"{place}: their table is lost: {error.message}") from error


def split_ids(segment: bytes | bytearray) -> list[bytes]:
    """The ids that a segment holds."""
    return [bytes(segment[start : start + ID_BYTES]) for start in range(0, len(segment), ID_BYTES)]
