"""What the headers of a vhdx image say. Source: [MS-VHDX] 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dissect.hypervisor.disk.c_vhdx import (
    ALIGNMENT,
    BAT_REGION_GUID,
    FILE_PARAMETERS_GUID,
    LOGICAL_SECTOR_SIZE_GUID,
    METADATA_REGION_GUID,
    PARENT_LOCATOR_GUID,
    VIRTUAL_DISK_SIZE_GUID,
    c_vhdx,
)
from dissect.hypervisor.disk.vhdx import MetadataTable, RegionTable

from restorium.disks.dissected import Stream
from restorium.disks.files import BlockFile
from restorium.vocabulary.errors import DiskDamaged, Unsupported

_REGION_TABLES = (3 * ALIGNMENT, 4 * ALIGNMENT)
_MOST_REGIONS = 2047
_BLOCK_SIZES = (1 << 20, 256 << 20)
_LINKS = ("parent_linkage", "parent_linkage2")


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in bytes. is_difference: it builds on another, whose content is one of ``parents``.

    content: changes whenever the disk does.
    """

    size: int
    block_size: int
    sector_size: int
    table_place: int
    content: UUID
    is_difference: bool
    parents: frozenset[UUID]

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block_size)

    @property
    def blocks_of_bitmap(self) -> int:
        """So many blocks are followed in the table by the entry of their sector bitmap."""
        return (1 << 23) * self.sector_size // self.block_size

    @property
    def entries(self) -> int:
        """Of the table."""
        if self.is_difference:
            return -(-self.blocks // self.blocks_of_bitmap) * (self.blocks_of_bitmap + 1)
        return self.blocks + max(self.blocks - 1, 0) // self.blocks_of_bitmap


def read_layout(file: BlockFile) -> Layout:
    """Raises DiskDamaged, Unsupported, and whatever dissect makes of damage."""
    stream = Stream(file)
    if c_vhdx.file_identifier(stream).signature != b"vhdxfile":
        raise DiskDamaged(f"{file.path} is no vhdx image")
    header = _header(stream)
    if any(header.log_guid):
        raise Unsupported(
            f"{file.path} was not closed cleanly: its log holds changes that are not in place yet",
            hint="Start its VM and shut it down, or repair a copy with qemu-img check -r all.",
        )
    for place in _REGION_TABLES:
        stream.seek(place)
        if c_vhdx.region_table_header(stream).entry_count > _MOST_REGIONS:
            raise DiskDamaged(f"{file.path} declares more regions than a vhdx image has")
    regions = RegionTable(stream, _REGION_TABLES[0])
    region, table = regions.get(METADATA_REGION_GUID), regions.get(BAT_REGION_GUID)
    metadata = MetadataTable(stream, region.file_offset, region.length)
    parameters = metadata.get(FILE_PARAMETERS_GUID)
    layout = Layout(
        size=int(metadata.get(VIRTUAL_DISK_SIZE_GUID)),
        block_size=int(parameters.block_size),
        sector_size=int(metadata.get(LOGICAL_SECTOR_SIZE_GUID)),
        table_place=int(table.file_offset),
        content=UUID(bytes_le=bytes(header.data_write_guid)),
        is_difference=bool(parameters.has_parent),
        parents=_parents(metadata),
    )
    if not _BLOCK_SIZES[0] <= layout.block_size <= _BLOCK_SIZES[1]:
        raise DiskDamaged(f"{file.path} declares blocks of {layout.block_size} bytes")
    length = layout.entries * 8
    # The map lies in the file, so that a walk over it comes to an end.
    if length > table.length or layout.table_place + length > file.length:
        raise DiskDamaged(f"{file.path} declares {layout.size} bytes, more than its map has room for")
    return layout


def _header(stream: Stream) -> Any:
    """The newer of the two."""
    headers = []
    for place in (ALIGNMENT, 2 * ALIGNMENT):
        stream.seek(place)
        headers.append(c_vhdx.header(stream))
    newest = max(headers, key=lambda header: int(header.sequence_number))
    if newest.signature != b"head":
        raise ValueError("no header is whole")
    return newest


def _parents(metadata: MetadataTable) -> frozenset[UUID]:
    locator = metadata.get(PARENT_LOCATOR_GUID, required=False)
    entries = {} if locator is None else locator.entries
    return frozenset(UUID(entries[name]) for name in _LINKS if entries.get(name))
