"""Where the bytes come from, and how many of them one operation may ask for."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Protocol

from restorium.vocabulary.errors import DataCorrupt

_BLOCK_BYTES = 256 * 1024
_BLOCKS = 64
"""16 MiB a disk: file systems come back to the same blocks again and again."""


class RandomAccess(Protocol):
    """A disk's bytes."""

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``; both ends are in the disk."""
        ...


class Budget:
    """How many bytes an operation may still ask for: what keeps a loop in damaged tables from going on for ever."""

    def __init__(self) -> None:
        self._left = 0

    def allow(self, count: int) -> None:
        """Begin an operation that may read ``count`` bytes."""
        self._left = count

    def spend(self, count: int) -> None:
        """Raises DataCorrupt once an operation asks for more than it may."""
        self._left -= max(count, 1)
        if self._left < 0:
            raise DataCorrupt("the file system sends its reader round in circles, or is too large to be read")


class Disk:
    """A disk with its latest blocks in memory."""

    def __init__(self, source: RandomAccess, budget: Budget) -> None:
        self.size = source.size
        self.budget = budget
        self._source = source
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, count: int) -> bytes:
        """Bytes inside the disk."""
        self.budget.spend(count)
        parts = []
        place, end = offset, offset + count
        while place < end:
            number, inside = divmod(place, _BLOCK_BYTES)
            part = self._block(number)[inside : inside + end - place]
            parts.append(part)
            place += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, number: int) -> bytes:
        known = self._blocks.get(number)
        if known is not None:
            self._blocks.move_to_end(number)
            return known
        start = number * _BLOCK_BYTES
        buffer = bytearray(min(_BLOCK_BYTES, self.size - start))
        self._source.read_into(start, memoryview(buffer))
        if len(self._blocks) >= _BLOCKS:
            self._blocks.popitem(last=False)
        self._blocks[number] = block = bytes(buffer)
        return block


class Placed(io.RawIOBase):
    """Bytes as dissect wants them: a file with a place. Reading past its end gives less."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._place = 0

    def _at(self, place: int, count: int) -> bytes:
        """``count`` bytes inside, perhaps none; each call counts against the budget."""
        raise NotImplementedError

    def read(self, count: int = -1) -> bytes:
        left = max(self.size - self._place, 0) if self._place >= 0 else 0
        content = self._at(self._place, left if count < 0 else min(count, left))
        self._place += len(content)
        return content

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._place = place + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class Region(Placed):
    """A part of a disk."""

    def __init__(self, disk: Disk, offset: int = 0, size: int | None = None) -> None:
        super().__init__(disk.size - offset if size is None else min(size, disk.size - offset))
        self.disk = disk
        self.offset = offset

    def _at(self, place: int, count: int) -> bytes:
        return self.disk.read(self.offset + place, count)
