"""Disks larger than any memory, of which only what is written takes room."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from restorium.disks.interface import Extent
from tests.support.vaults import CHUNK


class WideDisk:
    """Read and written like any disk; pages that were never written are zeros and declared as holes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pages: dict[int, bytearray] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        return

    def flush(self) -> None:
        return

    def extents(self) -> Iterator[Extent]:
        position = 0
        for number in sorted(self.pages):
            start, end = number * CHUNK, min((number + 1) * CHUNK, self.size)
            if start > position:
                yield Extent(position, start - position, hole=True)
            yield Extent(start, end - start, hole=False)
            position = end
        if position < self.size:
            yield Extent(position, self.size - position, hole=True)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        assert 0 <= offset <= offset + len(buffer) <= self.size
        for number, inside, at, length in _pieces(offset, len(buffer)):
            page = self.pages.get(number)
            buffer[at : at + length] = bytes(length) if page is None else page[inside : inside + length]

    def write(self, offset: int, data: bytes | memoryview) -> None:
        assert 0 <= offset <= offset + len(data) <= self.size
        for number, inside, at, length in _pieces(offset, len(data)):
            page = self.pages.setdefault(number, bytearray(CHUNK))
            page[inside : inside + length] = data[at : at + length]

    def resize(self, size: int) -> None:
        """What is cut off is gone when the disk grows again."""
        self.pages = {number: page for number, page in self.pages.items() if number * CHUNK < size}
        last = self.pages.get(size // CHUNK)
        if last is not None:
            last[size % CHUNK :] = bytes(CHUNK - size % CHUNK)
        self.size = size

    def copied(self) -> WideDisk:
        copy = WideDisk(self.size)
        copy.pages = {number: bytearray(page) for number, page in self.pages.items()}
        return copy

    def data(self) -> dict[int, bytes]:
        """The pages that are not zeros: two disks of one size and the same data are the same."""
        return {number: bytes(page) for number, page in self.pages.items() if any(page)}


def _pieces(offset: int, length: int) -> Iterator[tuple[int, int, int, int]]:
    """Page, place in the page, place in the buffer, bytes."""
    at = 0
    while at < length:
        number, inside = divmod(offset + at, CHUNK)
        count = min(CHUNK - inside, length - at)
        yield number, inside, at, count
        at += count
