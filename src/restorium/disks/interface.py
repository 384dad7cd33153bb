"""What a disk is to the rest of the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes from ``offset``; a hole reads as zeros and has nothing behind it on storage."""

    offset: int
    length: int
    hole: bool

    @property
    def end(self) -> int:
        return self.offset + self.length


class DiskReader(Protocol):
    """A disk's bytes. Every method may be called from several threads at once."""

    @property
    def size(self) -> int: ...

    def extents(self) -> Iterator[Extent]:
        """Data and holes, in order, covering the disk exactly."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes from ``offset``; both ends are in the disk. Raises DiskDamaged."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class DiskWriter(Protocol):
    """An image being written.

    ``write`` may be called from several threads, in any order, and again for the same bytes. What is never
    written reads as zeros. Raises TargetFull where storage ends.
    """

    @property
    def size(self) -> int: ...

    def write(self, offset: int, data: bytes | memoryview) -> None: ...

    def flush(self) -> None:
        """Everything written so far survives a power cut once this returns."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def data_extents(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Those that hold data."""
    return (extent for extent in extents if not extent.hole)
