"""Reading vhdx images: fixed, dynamic, and differencing ones with those that they build on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from dissect.hypervisor.disk.c_vhdx import c_vhdx

from restorium.disks.blocks import little_endian
from restorium.disks.dissected import FLATTEN, damage
from restorium.disks.files import BlockFile, OpenImage, joined
from restorium.disks.interface import Extent
from restorium.disks.vhdx.layout import read_layout
from restorium.vocabulary.errors import DiskDamaged, Unsupported

_STATE = 7
_PLACE = ~((1 << 20) - 1)
_PAGE_ENTRIES = 4096
_PAGES_KEPT = 64


class VhdxReader(OpenImage):
    """A disk. parents: the files that differencing ones build on, the nearest first; those used are closed with it.

    Raises Unsupported for a differencing disk whose parent is not given, and for one that was not closed cleanly, and
    DiskDamaged; the file is closed then.
    """

    def __init__(self, file: BlockFile, parents: Iterator[BlockFile]) -> None:
        self._parent: VhdxReader | None = None
        try:
            with damage(file.path, "as a vhdx image"):
                self._layout = read_layout(file)
                super().__init__(file, self._layout.size)
                self._page = lru_cache(_PAGES_KEPT)(self._read_page)
                if self._layout.is_difference:
                    self._parent = self._opened_parent(parents)
        except BaseException:
            file.close()
            raise

    def extents(self) -> Iterator[Extent]:
        """In blocks, whose size the image chooses: 1 to 256 MiB."""
        return joined(self._blocks())

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        for start, length in self._within_blocks(offset, len(buffer)):
            self._read_block(start, buffer[start - offset : start - offset + length])

    def close(self) -> None:
        self.file.close()
        if self._parent is not None:
            self._parent.close()

    def holds(self, offset: int, length: int) -> bool:
        """Whether a block with data is there, in this image or one that it builds on. Bytes beyond its end are none."""
        length = min(length, self._size - offset)
        for start, count in self._within_blocks(offset, length):
            state = self._entry(self._index(start // self._layout.block_size)) & _STATE
            if state in (c_vhdx.PAYLOAD_BLOCK_FULLY_PRESENT, c_vhdx.PAYLOAD_BLOCK_PARTIALLY_PRESENT):
                return True
            is_left = state == c_vhdx.PAYLOAD_BLOCK_NOT_PRESENT
            if is_left and self._parent is not None and self._parent.holds(start, count):
                return True
        return False

    def _opened_parent(self, parents: Iterator[BlockFile]) -> VhdxReader:
        file = next(parents, None)
        if file is None:
            raise Unsupported(f"{self.file.path} is a snapshot's part of a disk", hint=FLATTEN)
        parent = VhdxReader(file, parents)
        if parent._layout.content not in self._layout.parents:
            parent.close()
            raise DiskDamaged(
                f"{self.file.path} does not build on {parent.file.path} as that is now",
                hint="The parent was changed behind the differencing disk; restore from a backup.",
            )
        return parent

    def _blocks(self) -> Iterator[Extent]:
        for start, length in self._within_blocks(0, self._size):
            yield Extent(start, length, hole=not self.holds(start, length))

    def _within_blocks(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The same bytes in parts, none of which is in two blocks: offsets and lengths."""
        end, block = offset + length, self._layout.block_size
        while offset < end:
            stop = min(offset - offset % block + block, end)
            yield offset, stop - offset
            offset = stop

    def _read_block(self, offset: int, part: memoryview) -> None:
        number, inside = divmod(offset, self._layout.block_size)
        entry = self._entry(self._index(number))
        state, place = entry & _STATE, (entry & _PLACE) + inside
        if state == c_vhdx.PAYLOAD_BLOCK_FULLY_PRESENT:
            self.file.read_into(place, part)
        elif state == c_vhdx.PAYLOAD_BLOCK_PARTIALLY_PRESENT and self._parent is not None:
            for start, length, is_here in self._sectors(number, inside, len(part)):
                piece = part[start - inside : start - inside + length]
                if is_here:
                    self.file.read_into(place - inside + start, piece)
                else:
                    self._read_parent(offset - inside + start, piece)
        elif state == c_vhdx.PAYLOAD_BLOCK_NOT_PRESENT:
            self._read_parent(offset, part)
        else:
            part[:] = bytes(len(part))

    def _read_parent(self, offset: int, part: memoryview) -> None:
        """A parent may be shorter, and what is behind its end reads as zeros, as everything does without a parent."""
        length = 0 if self._parent is None else max(min(len(part), self._parent.size - offset), 0)
        if self._parent is not None and length:
            self._parent.read_into(offset, part[:length])
        part[length:] = bytes(len(part) - length)

    def _sectors(self, block: int, inside: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """Parts of a block that are in this image or in its parent: offsets in the block, and lengths."""
        sector, ratio = self._layout.sector_size, self._layout.blocks_of_bitmap
        entry = self._entry(block // ratio * (ratio + 1) + ratio)
        if entry & _STATE != c_vhdx.SB_BLOCK_PRESENT:
            raise DiskDamaged(f"{self.file.path} lacks the map of the sectors of block {block}")
        first_of_block = block % ratio * (self._layout.block_size // sector)
        first, end = inside // sector, -(-(inside + length) // sector)
        bits_from = (first_of_block + first) // 8
        bits = self.file.read((entry & _PLACE) + bits_from, (first_of_block + end + 7) // 8 - bits_from)

        def is_here(number: int) -> bool:
            at = first_of_block + number - bits_from * 8
            return bool(bits[at // 8] >> at % 8 & 1)

        for here, run in groupby(range(first, end), is_here):
            numbers = list(run)
            start = max(numbers[0] * sector, inside)
            yield start, min((numbers[-1] + 1) * sector, inside + length) - start, here

    def _index(self, block: int) -> int:
        """Where the table has the block's entry."""
        return block + block // self._layout.blocks_of_bitmap

    def _entry(self, index: int) -> int:
        page, place = divmod(index, _PAGE_ENTRIES)
        return self._page(page)[place]

    def _read_page(self, page: int) -> array[int]:
        first = page * _PAGE_ENTRIES
        entries = array("Q", bytes(8 * min(_PAGE_ENTRIES, self._layout.entries - first)))
        self.file.read_into(self._layout.table_place + first * 8, memoryview(entries).cast("B"))
        return little_endian(entries)
