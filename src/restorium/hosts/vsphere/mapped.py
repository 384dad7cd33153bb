"""A disk of which the server tells where data is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from restorium.disks.files import OpenDisk
from restorium.disks.interface import Extent

CAPACITY_UNIT = 1024
"""In bytes; a vSphere disk is as long as the disk it was made for, or up to the next such unit."""


class MappedDisk(OpenDisk):
    """allocated: where data is, in order; None if the server does not tell, and then all of it may be."""

    def __init__(self, label: str, size: int, allocated: Sequence[Extent] | None = None) -> None:
        super().__init__(label, size)
        self._allocated = allocated

    def extents(self) -> Iterator[Extent]:
        if self._allocated is None:
            if self._size:
                yield Extent(0, self._size, hole=False)
            return
        at = 0
        for extent in self._allocated:
            if extent.offset > at:
                yield Extent(at, extent.offset - at, hole=True)
            yield extent
            at = extent.end
        if at < self._size:
            yield Extent(at, self._size - at, hole=True)
