"""Reading vmdk images: sparse, stream-optimised and flat, with a descriptor inside or beside.

A descriptor names the files that hold the disk; they are taken from its own folder, links refused. A
snapshot's part of a disk is refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from dissect.hypervisor.disk.vmdk import SparseDisk

from restorium.disks.dissected import FLATTEN, Sectors, Stream, damage
from restorium.disks.files import ImageFile, OpenImage, joined
from restorium.disks.interface import Extent
from restorium.disks.raw import file_extents
from restorium.vocabulary.errors import DiskDamaged, Unsupported

_SECTOR = 512
_DESCRIPTOR_BYTES = 1 << 20
_NO_PARENT = "ffffffff"
_EXTENT_LINE = re.compile(r'\s*(?:RW|RDONLY)\s+(\d+)\s+([A-Z]+)(?:\s+"([^"]*)")?(?:\s+(\d+))?')
_PARENT_LINE = re.compile(r'^\s*parentCID\s*=\s*"?(\w+)', re.MULTILINE)
_LARGEST_GRAIN = 1 << 15
_MOST_TABLES = 1 << 22
_EMBEDDED_LBA = 1 << 17


class _Part(Protocol):
    """One file's share of the disk. Offsets are from the share's beginning."""

    size: int

    def extents(self) -> Iterator[Extent]: ...
    def read_into(self, offset: int, buffer: memoryview) -> None: ...


class _Flat:
    def __init__(self, file: ImageFile, start: int, size: int) -> None:
        if start + size > file.length:
            raise DiskDamaged(f"{file.path} has {file.length} bytes, its descriptor says {start + size}")
        self.size = size
        self._file = file
        self._start = start

    def extents(self) -> Iterator[Extent]:
        for extent in file_extents(self._file, self._start, self._start + self.size):
            yield Extent(extent.offset - self._start, extent.length, extent.hole)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._file.read_into(self._start + offset, buffer)


class _Sparse:
    def __init__(self, file: ImageFile, sectors: int | None) -> None:
        with damage(file.path, "as a vmdk image"):
            _check_map(file)
            self._disk = _BoundedSparseDisk(Stream(file))
        self.size = int(self._disk.sector_count) * _SECTOR
        if sectors is not None and self.size != sectors * _SECTOR:
            raise DiskDamaged(f"{file.path} holds {self.size} bytes, its descriptor says {sectors * _SECTOR}")
        self._path = file.path
        self._sectors = Sectors(file.path, self._disk.read_sectors, _SECTOR)

    def extents(self) -> Iterator[Extent]:
        grain = self._disk.header.grain_size * _SECTOR
        start = 0
        for hole, grains in groupby(self._holes(), bool):
            length = min(sum(1 for _ in grains) * grain, self.size - start)
            yield Extent(start, length, hole)
            start += length

    def _holes(self) -> Iterator[bool]:
        """Whether each grain is a hole."""
        grains = -(-self.size // (self._disk.header.grain_size * _SECTOR))
        entries = self._disk._grain_table_size
        for first in range(0, grains, entries):
            count = min(entries, grains - first)
            with self._sectors.lock, damage(self._path, "in its map"):
                if self._disk.is_sesparse:
                    places = [self._disk._lookup_grain(grain) for grain in range(first, first + count)]
                else:
                    places = (self._disk._lookup_grain_table(first // entries) or [0] * count)[:count]
            yield from [place < 2 for place in places]

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._sectors.read_into(offset, buffer)


class _BoundedSparseDisk(SparseDisk):  # type: ignore[misc]  # dissect has no types
    """Takes no more memory for a compressed grain than a grain has."""

    def _read_compressed_grain(self, sector: int) -> bytes:
        size = self.header.grain_size * _SECTOR
        self.fh.seek(sector * _SECTOR)
        marker = self.fh.read(12 if self.header.flags & _EMBEDDED_LBA else 4)
        length = int.from_bytes(marker[-4:], "little")
        if length > 2 * size + _SECTOR:
            raise ValueError(f"a compressed grain of {length} bytes")
        content: bytes = zlib.decompressobj().decompress(self.fh.read(length), size)
        return content


@dataclass(frozen=True, slots=True)
class _ExtentLine:
    sectors: int
    kind: str
    name: str
    first_sector: int


class VmdkReader(OpenImage):
    """Raises Unsupported for snapshots and for kinds of extents that are not read."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as files:
            file = ImageFile.to_read(path)
            files.callback(file.close)
            self._parts = list(_open_parts(file, files))
            super().__init__(file, sum(part.size for part in self._parts))
            self._files = files.pop_all()

    def extents(self) -> Iterator[Extent]:
        """In grains, mostly of 64 KiB; of flat extents, the file system's map."""
        return joined(self._shifted())

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        origin, end = 0, offset + len(buffer)
        for part in self._parts:
            first, last = max(offset, origin), min(end, origin + part.size)
            if first < last:
                part.read_into(first - origin, buffer[first - offset : last - offset])
            origin += part.size

    def close(self) -> None:
        self._files.close()

    def _shifted(self) -> Iterator[Extent]:
        origin = 0
        for part in self._parts:
            for extent in part.extents():
                yield Extent(origin + extent.offset, extent.length, extent.hole)
            origin += part.size


def _open_parts(file: ImageFile, files: ExitStack) -> Iterator[_Part]:
    if file.read(0, min(file.length, 4)) == b"# Di":
        text = _decode(file.read(0, min(file.length, _DESCRIPTOR_BYTES)))
        lines = list(_extent_lines(text))
        if not lines:
            raise DiskDamaged(f"{file.path} names no file that holds its disk")
        _refuse_parent(file.path, text)
        for line in lines:
            yield _open_part(file.path, line, files)
        return
    text = _embedded_descriptor(file)
    if _PARENT_LINE.search(text) is None:
        raise DiskDamaged(
            f"{file.path} is no whole vmdk disk", hint="Name the file that describes the disk, not its parts."
        )
    _refuse_parent(file.path, text)
    yield _Sparse(file, None)


def _open_part(descriptor: Path, line: _ExtentLine, files: ExitStack) -> _Part:
    path = descriptor.parent / line.name
    if not line.name or Path(line.name).name != line.name or "\0" in line.name or path.is_symlink():
        raise DiskDamaged(f"{descriptor} names {line.name!r}, which is no file beside it")
    if line.kind not in ("FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE"):
        raise Unsupported(f"{descriptor} has an extent of the kind {line.kind}", hint=FLATTEN)
    file = ImageFile.to_read(path)
    files.callback(file.close)
    if line.kind in ("FLAT", "VMFS"):
        return _Flat(file, line.first_sector * _SECTOR, line.sectors * _SECTOR)
    return _Sparse(file, line.sectors)


def _extent_lines(text: str) -> Iterator[_ExtentLine]:
    for match in map(_EXTENT_LINE.match, text.splitlines()):
        if match is not None:
            yield _ExtentLine(int(match[1]), match[2], match[3] or "", int(match[4] or 0))


def _embedded_descriptor(file: ImageFile) -> str:
    header = file.read(0, min(file.length, _SECTOR))
    if not header.startswith(b"KDMV"):
        return ""
    start, length = _number(header, 28) * _SECTOR, _number(header, 36) * _SECTOR
    return _decode(file.read(start, max(min(length, _DESCRIPTOR_BYTES, file.length - start), 0)))


def _check_map(file: ImageFile) -> None:
    """No map larger than the largest disk needs, and none of grains of no size."""
    header = file.read(0, min(file.length, _SECTOR))
    if not header.startswith(b"KDMV"):
        return
    capacity, grain, entries = _number(header, 12), _number(header, 20), _number(header, 44) & 0xFFFFFFFF
    if not 0 < grain <= _LARGEST_GRAIN or not 0 < entries <= 512 or capacity > _MOST_TABLES * grain * entries:
        raise DiskDamaged(f"{file.path} declares a map that no vmdk image has")


def _number(header: bytes, place: int) -> int:
    return int.from_bytes(header[place : place + 8], "little")


def _decode(content: bytes) -> str:
    return content.split(b"\0")[0].decode("utf-8", "replace")


def _refuse_parent(path: Path, descriptor: str) -> None:
    match = _PARENT_LINE.search(descriptor)
    if match is not None and match[1].lower() != _NO_PARENT:
        raise Unsupported(f"{path} is a snapshot's part of a disk", hint=FLATTEN)
