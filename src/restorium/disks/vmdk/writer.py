"""Writing a sparse vmdk image of one file.

Layout, in sectors: header, descriptor, spare grain directory and its tables, grain directory and its tables, grains
in the order of the disk. Source: VMware Virtual Disk Format 5.0.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from restorium.disks.blocks import SECTOR, BlockWriter, check_sectors, data_runs, divide, little_endian
from restorium.disks.files import ImageFile
from restorium.disks.interface import Extent
from restorium.disks.vmdk.layout import (
    ENTRIES,
    GRAIN,
    GRAIN_SECTORS,
    HEADER,
    LINE_ENDS,
    MAGIC,
    MOST_SECTORS,
    NEWLINES,
    TABLE_SECTORS,
    descriptor,
)
from restorium.vocabulary.errors import DiskDamaged, InvalidInput

_VERSION = 1
_SPARE_TABLES = 2
_DESCRIPTOR_SECTORS = 20
_CACHED_TABLES = 1024


class _Places:
    """Where everything is in the file of a disk of that size, in sectors."""

    def __init__(self, size: int) -> None:
        self.tables = divide(divide(size, GRAIN), ENTRIES)
        directory = divide(self.tables * 4, SECTOR)
        self.spare = 1 + _DESCRIPTOR_SECTORS
        self.spare_tables = self.spare + directory
        self.directory = self.spare_tables + self.tables * TABLE_SECTORS
        self.first_table = self.directory + directory
        end = self.first_table + self.tables * TABLE_SECTORS
        self.grains = divide(end, GRAIN_SECTORS) * GRAIN_SECTORS


def create_vmdk(path: Path, size: int, extents: Iterable[Extent]) -> BlockWriter:
    """A new image with a grain for every part that an extent with data touches.

    Raises InvalidInput where data and maps take more than the 2 TiB that the format has addresses for.
    """
    check_sectors(size, f"vmdk image {path}")
    file = ImageFile.new(path)
    try:
        _lay_out(file, size, extents)
        return _writer(file, size)
    except BaseException:
        file.close()
        raise


def reopen_vmdk(path: Path, size: int) -> BlockWriter:
    """An image made by ``create_vmdk``. Raises DiskDamaged unless it is whole and its disk has ``size`` bytes."""
    file = ImageFile.to_write(path)
    try:
        header = HEADER.unpack(file.read(0, min(file.length, HEADER.size)).ljust(HEADER.size, b"\0"))
        if header[:2] != (MAGIC, _VERSION) or header[9] != _Places(header[3] * SECTOR).directory:
            raise DiskDamaged(f"{path} is no image that Restorium has made to its end")
        if header[3] * SECTOR != size:
            raise DiskDamaged(f"{path} holds a disk of {header[3] * SECTOR} bytes, not {size}")
        return _writer(file, size)
    except BaseException:
        file.close()
        raise


def _writer(file: ImageFile, size: int) -> BlockWriter:
    first = _Places(size).first_table

    @lru_cache(maxsize=_CACHED_TABLES)
    def table(number: int) -> array[int]:
        entries = array("I", bytes(ENTRIES * 4))
        place = (first + number * TABLE_SECTORS) * SECTOR
        file.read_into(place, memoryview(entries).cast("B"))
        return little_endian(entries)

    def place(grain: int) -> int:
        number, index = divmod(grain, ENTRIES)
        return table(number)[index] * SECTOR

    return BlockWriter(file, size, GRAIN, place)


def _lay_out(file: ImageFile, size: int, extents: Iterable[Extent]) -> None:
    places = _Places(size)
    end = places.grains
    for number, runs in data_runs(extents, size, GRAIN, ENTRIES):
        entries = array("I", bytes(ENTRIES * 4))
        for run in runs:
            first, length = run.start % ENTRIES, len(run) * GRAIN_SECTORS
            if end + length > MOST_SECTORS:
                raise InvalidInput(
                    f"{file.path} would take more than the 2 TiB that a vmdk image has addresses for",
                    hint="Use raw, qcow2 or vhdx.",
                )
            entries[first : first + len(run)] = array("I", range(end, end + length, GRAIN_SECTORS))
            end += length
        content = little_endian(entries).tobytes()
        for first in (places.spare_tables, places.first_table):
            file.write((first + number * TABLE_SECTORS) * SECTOR, content)
    for directory, first in ((places.spare, places.spare_tables), (places.directory, places.first_table)):
        tables = array("I", range(first, first + places.tables * TABLE_SECTORS, TABLE_SECTORS))
        file.write(directory * SECTOR, little_endian(tables).tobytes())
    file.write(SECTOR, _descriptor(file.path, size))
    file.set_length(end * SECTOR)
    file.flush()
    file.write(0, _header(size, places))
    file.flush()


def _header(size: int, places: _Places) -> bytes:
    return HEADER.pack(
        MAGIC,
        _VERSION,
        NEWLINES | _SPARE_TABLES,
        size // SECTOR,
        GRAIN_SECTORS,
        1,
        _DESCRIPTOR_SECTORS,
        ENTRIES,
        places.spare,
        places.directory,
        places.grains,
        0,
        LINE_ENDS,
        0,
    ).ljust(SECTOR, b"\0")


def _descriptor(path: Path, size: int) -> bytes:
    """The name in it is for readers of parts; nobody finds the file by it."""
    text = descriptor(size, "monolithicSparse", path.name, hardware=4)
    return text.ljust(_DESCRIPTOR_SECTORS * SECTOR, b"\0")
