"""Writing a dynamic vhdx image.

Layout, in MiB: 0 what names the file, headers and region tables; 1 an empty log; 2 metadata; from 3 the block
allocation table; then blocks of 1 MiB in the order of the disk. Source: [MS-VHDX] 2.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from pathlib import PurePath
from uuid import UUID, uuid4

from restorium.disks.blocks import SECTOR, BlockWriter, check_sectors, data_runs, divide, little_endian
from restorium.disks.files import BlockFile
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, InvalidInput

_KIB, _MIB = 1 << 10, 1 << 20
_BLOCK = _MIB
_LARGEST = 64 << 40
_SIGNATURE = b"vhdxfile"
_CREATOR = "Restorium"
_HEADERS = ((64 * _KIB, 0), (128 * _KIB, 1))
"""Where the two headers are, and their sequence numbers: the second holds."""
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_LOG, _METADATA, _TABLE = 1 * _MIB, 2 * _MIB, 3 * _MIB
_ITEMS_AT = 64 * _KIB

_HEADER = struct.Struct("<4sI Q 16s16s16s HHIQ")
_REGION_HEADER = struct.Struct("<4sIII")
_REGION = struct.Struct("<16sQII")
_METADATA_HEADER = struct.Struct("<8sHH20x")
_METADATA_ITEM = struct.Struct("<16sIII4x")
_LOG_VERSION, _VERSION = 0, 1
_REQUIRED = 1
_OF_DISK, _IS_REQUIRED = 2, 4

_BAT_REGION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA_REGION = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
_LOGICAL_SECTOR = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PHYSICAL_SECTOR = UUID("cda348c7-445d-4471-9cc9-e9885251c556")
_NOBODY = UUID(int=0)

_PRESENT = 6
_PLACE = ~((1 << 20) - 1)
_BITMAP_EVERY = (1 << 23) * SECTOR // _BLOCK
"""So many blocks are followed in the table by the entry of a sector bitmap, which only snapshots have."""


def check_vhdx_size(path: PurePath, size: int) -> None:
    """Raises InvalidInput unless a vhdx image can hold a disk of so many bytes."""
    check_sectors(size, f"vhdx image {path}")
    if size > _LARGEST:
        raise InvalidInput(
            f"{path} would have {size} bytes; a vhdx disk has 64 TiB at most", hint="Use raw or qcow2."
        )


def make_vhdx(file: BlockFile, size: int, extents: Iterable[Extent]) -> BlockWriter:
    """A new image in an empty file, with a block for every MiB that an extent with data touches.

    The file is closed if that fails.
    """
    try:
        table = _lay_out(file, size, extents)
        return _writer(file, size, table)
    except BaseException:
        file.close()
        raise


def resume_vhdx(file: BlockFile, size: int) -> BlockWriter:
    """An image made by ``make_vhdx``. Raises DiskDamaged unless it is whole and its disk has ``size`` bytes."""
    try:
        if file.length < _TABLE or file.read(0, len(_SIGNATURE)) != _SIGNATURE:
            raise DiskDamaged(f"{file.path} is no image that Restorium has made to its end")
        items = file.read(_METADATA + _ITEMS_AT, len(_items(0, _NOBODY)))
        found = int.from_bytes(items[8:16], "little")
        if found != size:
            raise DiskDamaged(f"{file.path} holds a disk of {found} bytes, not {size}")
        table = array("Q", bytes(_entries(size) * 8))
        file.read_into(_TABLE, memoryview(table).cast("B"))
        return _writer(file, size, little_endian(table))
    except BaseException:
        file.close()
        raise


def _writer(file: BlockFile, size: int, table: array[int]) -> BlockWriter:
    return BlockWriter(file, size, _BLOCK, lambda block: table[_index(block)] & _PLACE)


def _index(block: int) -> int:
    return block + block // _BITMAP_EVERY


def _entries(size: int) -> int:
    blocks = divide(size, _BLOCK)
    return blocks + max(blocks - 1, 0) // _BITMAP_EVERY


def _lay_out(file: BlockFile, size: int, extents: Iterable[Extent]) -> array[int]:
    """Write all but the blocks; gives the table."""
    table = array("Q", bytes(_entries(size) * 8))
    table_length = max(divide(len(table) * 8, _MIB), 1) * _MIB
    end = _TABLE + table_length
    for _, runs in data_runs(extents, size, _BLOCK, _BITMAP_EVERY):
        for run in runs:
            first, length = _index(run.start), len(run) * _BLOCK
            table[first : first + len(run)] = array(
                "Q", range(end | _PRESENT, (end | _PRESENT) + length, _BLOCK)
            )
            end += length
    file.write(_TABLE, little_endian(table[:]).tobytes())
    file.write(_METADATA, _metadata())
    file.write(_METADATA + _ITEMS_AT, _items(size, uuid4()))
    regions = _region_table(table_length)
    for place in _REGION_TABLES:
        file.write(place, regions)
    written_by, holds = uuid4(), uuid4()
    for place, number in _HEADERS:
        file.write(place, _header(number, written_by, holds))
    file.set_length(end)
    file.flush()
    file.write(0, _SIGNATURE + _CREATOR.encode("utf-16-le"))
    file.flush()
    return table


def _header(number: int, written_by: UUID, holds: UUID) -> bytes:
    fields = (
        number,
        written_by.bytes_le,
        holds.bytes_le,
        _NOBODY.bytes_le,
        _LOG_VERSION,
        _VERSION,
        _MIB,
        _LOG,
    )
    return _checked(_HEADER.pack(b"head", 0, *fields), 4 * _KIB)


def _region_table(table_length: int) -> bytes:
    return _checked(
        _REGION_HEADER.pack(b"regi", 0, 2, 0)
        + _REGION.pack(_BAT_REGION.bytes_le, _TABLE, table_length, _REQUIRED)
        + _REGION.pack(_METADATA_REGION.bytes_le, _METADATA, _MIB, _REQUIRED),
        64 * _KIB,
    )


def _metadata() -> bytes:
    items = (
        (_FILE_PARAMETERS, 8, _IS_REQUIRED),
        (_DISK_SIZE, 8, _IS_REQUIRED | _OF_DISK),
        (_DISK_ID, 16, _IS_REQUIRED | _OF_DISK),
        (_LOGICAL_SECTOR, 4, _IS_REQUIRED | _OF_DISK),
        (_PHYSICAL_SECTOR, 4, _IS_REQUIRED | _OF_DISK),
    )
    content, place = _METADATA_HEADER.pack(b"metadata", 0, len(items)), _ITEMS_AT
    for item, length, flags in items:
        content += _METADATA_ITEM.pack(item.bytes_le, place, length, flags)
        place += length
    return content


def _items(size: int, disk_id: UUID) -> bytes:
    """The items that ``_metadata`` lists, one behind the other."""
    return struct.pack("<IIQ16sII", _BLOCK, 0, size, disk_id.bytes_le, SECTOR, 4 * _KIB)


def _checked(content: bytes, length: int) -> bytes:
    """Filled up with zeros, and with the checksum of all that at byte 4."""
    whole = bytearray(content.ljust(length, b"\0"))
    struct.pack_into("<I", whole, 4, _crc32c(whole))
    return bytes(whole)


def _crc32c(content: bytes | bytearray) -> int:
    """Castagnoli's, of 68 KiB an image: no library is needed for that."""
    value = 0xFFFFFFFF
    for byte in content:
        value = (value >> 8) ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()
