"""Reading vhdx images, fixed and dynamic."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from dissect.hypervisor.disk.c_vhdx import (
    ALIGNMENT,
    BAT_REGION_GUID,
    FILE_PARAMETERS_GUID,
    METADATA_REGION_GUID,
    c_vhdx,
)
from dissect.hypervisor.disk.vhdx import VHDX, MetadataTable, RegionTable

from restorium.disks.dissected import FLATTEN, Stream, damage
from restorium.disks.files import BlockFile, OpenImage, joined
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, Unsupported

_REGION_TABLES = (3 * ALIGNMENT, 4 * ALIGNMENT)
_MOST_REGIONS = 2047
_MIB = 1 << 20


class VhdxReader(OpenImage):
    """Raises Unsupported for a differencing disk, and for one that was not closed cleanly; the file is closed then."""

    def __init__(self, file: BlockFile) -> None:
        try:
            with damage(file.path, "as a vhdx image"):
                _check(file)
                self._disk = VHDX(Stream(file))
                super().__init__(file, int(self._disk.size))
                self._check_map()
                self._lock = threading.Lock()
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
            number, inside = divmod(position, block)
            length = min(block - inside, end - position)
            part = buffer[position - offset : position - offset + length]
            place = self._place(number)
            if place is None:
                part[:] = bytes(length)
            else:
                self.file.read_into(place + inside, part)
            position += length

    def _blocks(self) -> Iterator[Extent]:
        block = self._disk.block_size
        for offset in range(0, self._size, block):
            is_hole = self._place(offset // block) is None
            yield Extent(offset, min(block, self._size - offset), is_hole)

    def _place(self, block: int) -> int | None:
        """Where in the file the block is; None for one that reads as zeros. dissect keeps a place in its file."""
        with self._lock, damage(self.file.path, "in its map"):
            entry = self._disk.bat.pb(block)
            return entry.file_offset_mb * _MIB if entry.state == c_vhdx.PAYLOAD_BLOCK_FULLY_PRESENT else None

    def _check_map(self) -> None:
        """The map lies in the file, so that a walk over it comes to an end."""
        region = self._disk.region_table.get(BAT_REGION_GUID)
        length = self._disk.bat.entry_count * 8
        if length > region.length or region.file_offset + length > self.file.length:
            raise DiskDamaged(f"{self.file.path} declares {self._size} bytes, more than its map has room for")


def _check(file: BlockFile) -> None:
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
