"""Differencing vhdx images, which no program here writes: a disk's changed sectors and where its parent is."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

from restorium.disks.vhdx import writer
from tests.support.disks import MIB

SECTOR = 512
_FULLY, _PARTIALLY, _ZERO = 6, 7, 2
_RATIO = (1 << 23) * SECTOR // MIB
_PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_LOCATOR_TYPE = UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")
_HEADER_AT, _METADATA, _TABLE = 128 << 10, 2 * MIB, 3 * MIB


def content_of(path: Path) -> UUID:
    """What a child must name to build on the image. Only of images whose second header holds, as ours."""
    with path.open("rb") as file:
        file.seek(_HEADER_AT + 32)
        return UUID(bytes_le=file.read(16))


def write_difference(
    path: Path, parent: Path, size: int, sectors: Mapping[int, bytes], *, zeros: frozenset[int] = frozenset()
) -> None:
    """Blocks of 1 MiB. sectors: by number, of 512 bytes each. zeros: numbers of blocks that are zeros now.

    A block of which all sectors are given is there wholly.
    """
    blocks = -(-size // MIB)
    chunks = -(-blocks // _RATIO)
    table = [0] * (chunks * (_RATIO + 1))
    table_length = -(-len(table) * 8 // MIB) * MIB
    end, payload, bitmaps = _TABLE + table_length, {}, {}
    per_block = MIB // SECTOR
    for block in sorted({number // per_block for number in sectors}):
        mine = [number for number in sectors if number // per_block == block]
        table[block + block // _RATIO] = end | (_FULLY if len(mine) == per_block else _PARTIALLY)
        payload[end] = b"".join(sectors.get(block * per_block + at, b"?" * SECTOR) for at in range(per_block))
        end += MIB
        bits = bitmaps.setdefault(block // _RATIO, bytearray(MIB))
        for number in mine:
            at = number - block // _RATIO * _RATIO * per_block
            bits[at // 8] |= 1 << at % 8
    for block in zeros:
        table[block + block // _RATIO] = _ZERO
    for chunk, bits in bitmaps.items():
        table[chunk * (_RATIO + 1) + _RATIO] = end | _FULLY
        payload[end] = bytes(bits)
        end += MIB
    with path.open("wb") as file:
        file.write(b"vhdxfile" + "tests".encode("utf-16-le"))
        for place, number in ((64 << 10, 0), (_HEADER_AT, 1)):
            file.seek(place)
            file.write(writer._header(number, uuid4(), uuid4()))
        for place in (192 << 10, 256 << 10):
            file.seek(place)
            file.write(writer._region_table(table_length))
        file.seek(_METADATA)
        file.write(_metadata(parent, size))
        file.seek(_TABLE)
        file.write(struct.pack(f"<{len(table)}Q", *table))
        for place, content in payload.items():
            file.seek(place)
            file.write(content)
        file.truncate(end)


def _metadata(parent: Path, size: int) -> bytes:
    locator = _locator({"parent_linkage": f"{{{content_of(parent)}}}", "relative_path": parent.name})
    known = writer._items(size, uuid4())
    known = struct.pack("<II", MIB, 2) + known[8:]
    table = bytearray(writer._metadata().ljust(64 << 10, b"\0"))
    count = struct.unpack_from("<H", table, 10)[0]
    struct.pack_into("<H", table, 10, count + 1)
    struct.pack_into(
        "<16sIII4x",
        table,
        32 + count * 32,
        _PARENT_LOCATOR.bytes_le,
        (64 << 10) + len(known),
        len(locator),
        4,
    )
    return bytes(table) + known + locator


def _locator(entries: Mapping[str, str]) -> bytes:
    header = _LOCATOR_TYPE.bytes_le + struct.pack("<HH", 0, len(entries))
    place, table, texts = len(header) + 12 * len(entries), b"", b""
    for key, value in entries.items():
        name, text = key.encode("utf-16-le"), value.encode("utf-16-le")
        at = place + len(texts)
        table += struct.pack("<IIHH", at, at + len(name), len(name), len(text))
        texts += name + text
    return header + table + texts
