"""Images that keep their disk in blocks of one size: laid out when they are made, written in any order."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from restorium.disks.files import BlockFile, OpenImage
from restorium.disks.interface import Extent, data_extents
from restorium.vocabulary.errors import InvalidInput

SECTOR = 512


class BlockWriter(OpenImage):
    """An image whose blocks are all allocated; writes go where they are.

    place: where in the file a block is, by its number; 0 for one that has no place.
    """

    def __init__(self, file: BlockFile, size: int, block_size: int, place: Callable[[int], int]) -> None:
        super().__init__(file, size)
        self._block_size = block_size
        self._place = place

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Raises InvalidInput for a place that has no block of its own."""
        view = memoryview(data)
        self.check_inside(offset, len(view))
        done = 0
        while done < len(view):
            number, inside = divmod(offset + done, self._block_size)
            length = min(self._block_size - inside, len(view) - done)
            place = self._place(number)
            if not place:
                raise InvalidInput(
                    f"bytes {offset + done} to {offset + done + length} of {self.file.path} have no block of their own",
                    hint="Declare them as data when the image is made.",
                )
            self.file.write(place + inside, view[done : done + length])
            done += length

    def flush(self) -> None:
        self.file.flush()


def data_runs(
    extents: Iterable[Extent], size: int, block_size: int, entries: int
) -> Iterator[tuple[int, Iterator[range]]]:
    """Numbers of the blocks that hold data, each once, in runs, by the table of ``entries`` blocks that they are in.

    Raises InvalidInput for an extent beyond ``size``.
    """
    return groupby(_runs(extents, size, block_size, entries), lambda run: run.start // entries)


def _runs(extents: Iterable[Extent], size: int, block_size: int, within: int) -> Iterator[range]:
    following = 0
    for extent in data_extents(extents):
        if extent.offset < 0 or extent.end > size:
            raise InvalidInput(
                f"an extent from byte {extent.offset} to {extent.end} is not inside a disk of {size}"
            )
        first, end = max(extent.offset // block_size, following), divide(extent.end, block_size)
        following = max(following, end)
        while first < end:
            stop = min(end, (first // within + 1) * within)
            yield range(first, stop)
            first = stop


def check_sectors(size: int, what: str, *, least: int = 1) -> None:
    """Raises InvalidInput unless ``size`` is whole sectors. what: the format and the file, for the message."""
    if size % SECTOR or size < least * SECTOR:
        raise InvalidInput(
            f"{what} cannot hold a disk of {size} bytes: it takes whole sectors of {SECTOR}, at least {least}"
        )


def divide(value: int, by: int) -> int:
    """Rounded up."""
    return -(-value // by)


def little_endian(values: array[int]) -> array[int]:
    """The same array with its bytes turned where the machine's order is the other; so it is read and written."""
    if sys.byteorder == "big":
        values.byteswap()
    return values
