"""A guest that writes without an end: a boot sector that numbers sectors of two disks, one after the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from restorium.disks.interface import DiskReader
from tests.support.disks import read_all

SECTOR = 512
FIRST = 2048
"""Sector where its ring begins."""
RING = 1024
"""Sectors of a disk that it goes round."""


def writing_sector() -> bytes:
    """For the first disk of a BIOS machine with two. Number n is written to sector FIRST + n % RING of the first disk,
    over and over in it, then to that of the second; then comes n + 1.
    """
    parts = [
        "31c0 8ed8 8ec0 8ed0 bc007c fc",  # segments 0, a stack, forwards
        "c70600061000 c70602060100",  # int 13h's packet at 0x600: its size, one sector
        "c70604060010 c70606060000",  # from 0x1000
        "66c7060c0600000000 66c706001000000000",  # the sector's upper half; n = 0
    ]
    loop = [
        "66ff060010",  # n += 1
        "66a10010 bf0010 b98000 f366ab",  # fill the buffer with n
        "66a10010 6625ff030000 660500080000 66a30806",  # its sector
        "b280 e80700",  # write it to the first disk
        "b281 e80200",  # and to the second
    ]
    write = "be0006 b80043 cd13 c3"
    body = b"".join(bytes.fromhex(part) for part in loop)
    code = b"".join(bytes.fromhex(part) for part in parts) + body
    back = -(len(body) + 2)
    code += b"\xeb" + struct.pack("b", back) + bytes.fromhex(write)
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def _numbers(disk: bytes) -> list[int]:
    """What each sector of the ring holds; the whole sector must hold the same. 0 where nothing was written."""
    found = []
    for number in range(FIRST, FIRST + RING):
        words = struct.unpack_from(f"<{SECTOR // 4}I", disk, number * SECTOR)
        assert len(set(words)) == 1, f"sector {number} is torn"
        found.append(words[0])
    return found


def one_moment(disks: Sequence[DiskReader], seen: int) -> int:
    """Hold both disks against what they held at one moment after that of the number ``seen``; gives its number."""
    first, second = (_numbers(read_all(disk)) for disk in disks)
    last, other = max(first), max(second)
    assert last > seen, "the guest went on"
    assert other in (last, last - 1), "both disks are of one moment"
    for found, end in ((first, last), (second, other)):
        for number in range(max(1, end - RING + 1), end + 1):
            assert found[number % RING] == number, "nothing from later, nothing missing"
    return last
