"""Reading vhdx images, fixed and dynamic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dissect.hypervisor.disk.c_vhdx import (
    ALIGNMENT,
    BAT_REGION_GUID,
    FILE_PARAMETERS_GUID,
    METADATA_REGION_GUID,
    c_vhdx,
)
from dissect.hypervisor.disk.vhdx import VHDX, MetadataTable, RegionTable

from restorium.disks.dissected import FLATTEN, Sectors, Stream, damage
from restorium.disks.files import ImageFile, OpenImage, joined
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, Unsupported

_REGION_TABLES = (3 * ALIGNMENT, 4 * ALIGNMENT)
_MOST_REGIONS = 2047


class VhdxReader(OpenImage):
    """Raises Unsupported for a differencing disk, and for one that was not closed cleanly."""

    def __init__(self, path: Path) -> None:
        file = ImageFile.to_read(path)
        try:
            with damage(path, "as a vhdx image"):
                _check(file)
                self._disk = VHDX(Stream(file))
                super().__init__(file, int(self._disk.size))
                self._check_map()
                self._sectors = Sectors(path, self._disk.read_sectors, self._disk.sector_size)
        except BaseException:
            file.close()
            raise

    def extents(self) -> Iterator[Extent]:
        """In blocks, whose size the image chooses: 1 to 256 MiB."""
        return joined(self._blocks())

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        block, end = self._disk.block_size, offset + len(buffer)
        position = offset
        while position < end:
            # dissect takes what follows a block in the file for the next block: it is never asked beyond one.
            stop = min(position - position % block + block, end)
            self._sectors.read_into(position, buffer[position - offset : stop - offset])
            position = stop

    def _blocks(self) -> Iterator[Extent]:
        block = self._disk.block_size
        for offset in range(0, self._size, block):
            with self._sectors.lock, damage(self.file.path, "in its map"):
                state = self._disk.bat.pb(offset // block).state
            is_hole = state != c_vhdx.PAYLOAD_BLOCK_FULLY_PRESENT
            yield Extent(offset, min(block, self._size - offset), is_hole)

    def _check_map(self) -> None:
        """The map lies in the file, so that a walk over it comes to an end."""
        region = self._disk.region_table.get(BAT_REGION_GUID)
        length = self._disk.bat.entry_count * 8
        if length > region.length or region.file_offset + length > self.file.length:
            raise DiskDamaged(f"{self.file.path} declares {self._size} bytes, more than its map has room for")


def _check(file: ImageFile) -> None:
    stream = Stream(file)
    headers = []
    for place in (ALIGNMENT, 2 * ALIGNMENT):
        stream.seek(place)
        headers.append(c_vhdx.header(stream))
    if any(max(headers, key=lambda header: int(header.sequence_number)).log_guid):
        raise Unsupported(
            f"{file.path} was not closed cleanly: its log holds changes that are not in place yet",
            hint="Start its VM and shut it down, or repair a copy with qemu-img check -r all.",
        )
    for place in _REGION_TABLES:
        stream.seek(place)
        if c_vhdx.region_table_header(stream).entry_count > _MOST_REGIONS:
            raise DiskDamaged(f"{file.path} declares more regions than a vhdx image has")
    region = RegionTable(stream, _REGION_TABLES[0]).get(METADATA_REGION_GUID)
    metadata = MetadataTable(stream, region.file_offset, region.length)
    if metadata.get(FILE_PARAMETERS_GUID).has_parent:
        raise Unsupported(f"{file.path} is a snapshot's part of a disk", hint=FLATTEN)
