"""From a place on the disk to a place in a qcow2 file."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from restorium.disks.files import ImageFile
from restorium.disks.qcow2.header import SECTOR, Header
from restorium.vocabulary.errors import DiskDamaged

COPIED = 1 << 63
_COMPRESSED = 1 << 62
_ZERO = 1
_OFFSET = (1 << 56) - (1 << 9)
_CACHE_BYTES = 8 << 20

Table = array
"""Of 64-bit entries."""


class Kind(Enum):
    HOLE = "hole"
    DATA = "data"
    COMPRESSED = "compressed"


@dataclass(frozen=True, slots=True)
class Run:
    """``length`` bytes of disk from ``offset`` on, of one kind.

    DATA: at ``place`` in the file, one behind the other; ``own``: no snapshot shares them. COMPRESSED: inside
    one cluster, whose ``stored`` bytes at ``place`` hold it.
    """

    offset: int
    length: int
    kind: Kind
    place: int = 0
    stored: int = 0
    own: bool = False

    @property
    def end(self) -> int:
        return self.offset + self.length


class Mapping:
    """The two levels of tables of an image. Safe for many threads; tables are read when needed."""

    def __init__(self, file: ImageFile, header: Header) -> None:
        self._file = file
        self._header = header
        self._tables = array(
            "Q", (entry & _OFFSET for entry in self._read_table(header.l1_offset, header.l1_entries))
        )
        self._check_tables()
        self._cached = lru_cache(maxsize=max(_CACHE_BYTES // header.cluster_size, 2))(self._table)

    def run_at(self, offset: int, end: int) -> Run:
        """The run that begins at ``offset``, as far as ``end`` and one table tell."""
        number = offset // self._header.table_span
        stop = min(end, (number + 1) * self._header.table_span)
        if not self._tables[number]:
            return Run(offset, stop - offset, Kind.HOLE)
        return self._run(self._cached(number), offset, stop)

    def runs(self) -> Iterator[Run]:
        """All of the disk, in order. Tables pass through memory one at a time."""
        size, span = self._header.size, self._header.table_span
        position = 0
        for number, place in enumerate(self._tables):
            if not place:
                continue
            if position < number * span:
                yield Run(position, number * span - position, Kind.HOLE)
            table, position, end = self._table(number), number * span, min((number + 1) * span, size)
            while position < end:
                run = self._run(table, position, end)
                yield run
                position = run.end
        if position < size:
            yield Run(position, size - position, Kind.HOLE)

    def _run(self, table: Table[int], offset: int, end: int) -> Run:
        cluster_size = self._header.cluster_size
        index, inside = offset // cluster_size % self._header.table_entries, offset % cluster_size
        stop = min(offset - inside + cluster_size, end)
        entry = table[index]
        if entry & _COMPRESSED:
            place, stored = self._compressed(entry)
            return Run(offset, stop - offset, Kind.COMPRESSED, place, stored)
        kind = self._kind(entry)
        place = (entry & _OFFSET) + inside
        while stop < end:
            index += 1
            following = table[index]
            if kind is Kind.HOLE:
                if following & _COMPRESSED or self._kind(following) is not Kind.HOLE:
                    break
            elif following != entry + cluster_size:
                break
            entry = following
            stop = min(stop + cluster_size, end)
        if kind is Kind.HOLE:
            return Run(offset, stop - offset, kind)
        if place % cluster_size != inside or place + stop - offset > self._file.length:
            raise DiskDamaged(
                f"{self._file.path} ends at byte {self._file.length}, but says that bytes {offset} to {stop} "
                f"of its disk are at byte {place}"
            )
        return Run(offset, stop - offset, kind, place, own=bool(entry & COPIED))

    def _kind(self, entry: int) -> Kind:
        is_zero = entry & _ZERO and self._header.version > 2
        return Kind.HOLE if is_zero or not entry & _OFFSET else Kind.DATA

    def _compressed(self, entry: int) -> tuple[int, int]:
        """Where a compressed cluster is, and the bytes to read, of which the last may be its neighbour's."""
        bits = 62 - (self._header.cluster_bits - 8)
        place = entry & (1 << bits) - 1
        sectors = (entry & _COMPRESSED - 1) >> bits
        stored = min((sectors + 1) * SECTOR - place % SECTOR, self._file.length - place)
        if stored <= 0:
            raise DiskDamaged(f"{self._file.path} ends before its compressed cluster at byte {place}")
        return place, stored

    def _table(self, number: int) -> Table[int]:
        return self._read_table(self._tables[number], self._header.table_entries)

    def _read_table(self, place: int, entries: int) -> Table[int]:
        table = array("Q", bytes(entries * 8))
        self._file.read_into(place, memoryview(table).cast("B"))
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def _check_tables(self) -> None:
        """Tables lie in the file, no more than it has room for: a walk over the map comes to an end."""
        path, length, cluster_size = self._file.path, self._file.length, self._header.cluster_size
        used = 0
        for number, place in enumerate(self._tables):
            used += place > 0
            if place % cluster_size or place > length - cluster_size:
                raise DiskDamaged(f"{path} ends at byte {length}, but part {number} of its map is at {place}")
        if used * cluster_size > length:
            raise DiskDamaged(f"{path} says that it has {used} tables, more than it has room for")
