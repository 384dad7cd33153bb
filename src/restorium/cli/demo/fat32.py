"""A FAT32 file system written from Python, for machines that have no mkfs.ext4.

Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03. Only what the demo needs:
short names in capitals, files in one piece, no partition table.
"""

from __future__ import annotations

import re
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

from restorium.vocabulary.errors import InvalidInput

_SECTOR = 512
_CLUSTER = 4096
_RESERVED_SECTORS = 32
_BACKUP_BOOT_SECTOR = 6
_FEWEST_CLUSTERS = 65525
_MEDIA = 0xF8
_END_OF_CHAIN = 0x0FFFFFFF
_DIRECTORY, _ARCHIVE = 0x10, 0x20
_FIRST_DAY = 0x0021
_NAME = re.compile(r"([A-Z0-9_]{1,8})(?:\.([A-Z0-9_]{1,3}))?")


def write_fat32(image: Path, size: int, tree: Path) -> None:
    """Make ``image`` a FAT32 volume of ``size`` bytes that holds what is under ``tree``.

    Raises InvalidInput for a size that is no FAT32, a tree that does not fit, a name that is no short name.
    """
    with image.open("w+b") as file:
        volume = _Volume(file, size)
        volume.add_folder(tree, parent=0)
        volume.finish()


class _Volume:
    def __init__(self, file: BinaryIO, size: int) -> None:
        sectors = size // _SECTOR
        fat_bytes_at_most = (size // _CLUSTER + 2) * 4
        self._fat_sectors = -(-fat_bytes_at_most // _SECTOR)
        self._data_start = (_RESERVED_SECTORS + 2 * self._fat_sectors) * _SECTOR
        self._clusters = (size - self._data_start) // _CLUSTER
        if self._clusters < _FEWEST_CLUSTERS:
            raise InvalidInput(f"{size} bytes are too few for FAT32", hint="Take 300 MiB or more.")
        self._file = file
        self._sectors = sectors
        self._fat = [_END_OF_CHAIN - 0xFF + _MEDIA, _END_OF_CHAIN]
        file.truncate(size)

    def add_folder(self, folder: Path, *, parent: int) -> int:
        """Write a folder and all in it; gives its first cluster. ``parent`` is 0 in the root."""
        members = sorted(folder.iterdir())
        is_root = len(self._fat) == 2
        dots = 0 if is_root else 2
        start = self._allocate((len(members) + dots) * 32)
        own = 0 if is_root else start
        entries = (
            [] if is_root else [_entry(b".", _DIRECTORY, start, 0), _entry(b"..", _DIRECTORY, parent, 0)]
        )
        for member in members:
            name = _short_name(member.name)
            if member.is_dir():
                entries.append(_entry(name, _DIRECTORY, self.add_folder(member, parent=own), 0))
            else:
                size = member.stat().st_size
                entries.append(_entry(name, _ARCHIVE, self._add_file(member, size), size))
        self._seek(start)
        self._file.write(b"".join(entries))
        return start

    def finish(self) -> None:
        """Write the boot sectors and both copies of the allocation table."""
        boot, information = self._boot_sector(), self._information_sector()
        for sector in (0, _BACKUP_BOOT_SECTOR):
            self._file.seek(sector * _SECTOR)
            self._file.write(boot + information)
        table = struct.pack(f"<{len(self._fat)}I", *self._fat)
        for copy in range(2):
            self._file.seek((_RESERVED_SECTORS + copy * self._fat_sectors) * _SECTOR)
            self._file.write(table)

    def _add_file(self, path: Path, size: int) -> int:
        if size == 0:
            return 0
        start = self._allocate(size)
        self._seek(start)
        with path.open("rb") as source:
            shutil.copyfileobj(source, self._file, 1 << 20)
        return start

    def _allocate(self, size: int) -> int:
        count = max(1, -(-size // _CLUSTER))
        start = len(self._fat)
        if start + count > self._clusters + 2:
            raise InvalidInput("the files do not fit the FAT32 volume", hint="Take a larger volume.")
        self._fat += [*range(start + 1, start + count), _END_OF_CHAIN]
        return start

    def _seek(self, cluster: int) -> None:
        self._file.seek(self._data_start + (cluster - 2) * _CLUSTER)

    def _boot_sector(self) -> bytes:
        fields = struct.pack(
            "<3s8sHBHBHHBHHHIIIHHIHH12xBBBI11s8s",
            b"\xeb\x58\x90", b"RESTORIU", _SECTOR, _CLUSTER // _SECTOR, _RESERVED_SECTORS, 2, 0, 0, _MEDIA, 0,
            63, 255, 0, self._sectors, self._fat_sectors, 0, 0, 2, 1, _BACKUP_BOOT_SECTOR,
            0x80, 0, 0x29, 0x20310203, b"NO NAME    ", b"FAT32   ",
        )  # fmt: skip
        return fields.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"

    def _information_sector(self) -> bytes:
        free = self._clusters + 2 - len(self._fat)
        return struct.pack("<4s480x4sII12x4s", b"RRaA", b"rrAa", free, len(self._fat), b"\x00\x00\x55\xaa")


def _short_name(name: str) -> bytes:
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidInput(f"{name!r} is not a short FAT name", hint="Take 8.3 capitals, digits and _.")
    return f"{match[1]:<8}{match[2] or '':<3}".encode()


def _entry(name: bytes, attributes: int, cluster: int, size: int) -> bytes:
    return struct.pack(
        "<11sBBBHHHHHHHI",
        name.ljust(11), attributes, 0, 0, 0, _FIRST_DAY, _FIRST_DAY, cluster >> 16, 0, _FIRST_DAY,
        cluster & 0xFFFF, size,
    )  # fmt: skip
