"""What all connections to one export share: its disk, and its map of data and holes."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Protocol

from restorium.disks.files import joined
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import RestoriumError


class Source(Protocol):
    """A disk that is served; a DiskReader is one. Every method may be called from several threads at once."""

    @property
    def size(self) -> int: ...
    def extents(self) -> Iterator[Extent]: ...
    def read_into(self, offset: int, buffer: memoryview) -> None: ...


class Away(Exception):
    """Raised by a source that cannot be read for now: the client is hung up on, and comes again."""


class Unreadable(Exception):
    """The source could not do it, and its owner has been told why."""


class Shared:
    """An export by the name of ``name``."""

    def __init__(self, name: str, source: Source, troubled: Callable[[str, RestoriumError], None]) -> None:
        self.size = source.size
        self._name = name
        self._source = source
        self._troubled = troubled
        self._lock = threading.Lock()
        self._ends: array[int] | None = None
        self._first_is_hole = False

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Raises Unreadable."""
        try:
            self._source.read_into(offset, buffer)
        except RestoriumError as error:
            self._troubled(self._name, error)
            raise Unreadable from error

    def extents(self, offset: int, length: int, most: int) -> list[Extent]:
        """Up to ``most`` of them from ``offset``, inside of ``length`` bytes. Raises Unreadable."""
        ends = self._map()
        found: list[Extent] = []
        number, end = bisect_right(ends, offset), offset + length
        while offset < end and len(found) < most:
            stop = min(ends[number], end)
            found.append(Extent(offset, stop - offset, hole=(number % 2 == 0) == self._first_is_hole))
            offset, number = stop, number + 1
        return found

    def _map(self) -> array[int]:
        """Where data and holes end, by turns. Made when it is first asked for, with 8 bytes for each."""
        with self._lock:
            if self._ends is None:
                ends = array("Q")
                try:
                    for extent in joined(self._source.extents()):
                        if not ends:
                            self._first_is_hole = extent.hole
                        ends.append(extent.end)
                except RestoriumError as error:
                    self._troubled(self._name, error)
                    raise Unreadable from error
                self._ends = ends
            return self._ends
