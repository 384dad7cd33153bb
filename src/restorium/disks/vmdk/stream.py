"""Stream-optimised vmdk, as it goes over the wire: grains in order, each behind a marker that says where it belongs.

Written: a grain for every part that an extent with data touches, stored and not compressed, so that the length is
known before. Read: any such stream whose grains are in order. Source: VMware Virtual Disk Format 5.0.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from itertools import groupby

from restorium.disks.blocks import SECTOR, check_sectors, data_runs, divide, little_endian
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
from restorium.vocabulary.errors import DiskDamaged, InvalidInput, Unsupported

_VERSION = 3
_COMPRESSED, _MARKERS = 1 << 16, 1 << 17
_DEFLATE = 1
_AT_END = 0xFFFFFFFFFFFFFFFF
_DESCRIPTOR_SECTORS = 20
_GRAIN_MARKER = struct.Struct("<QI")
_MARKER = struct.Struct("<QII")
_END, _TABLE, _DIRECTORY, _FOOTER = range(4)
_STORED = 0
_LARGEST_GRAIN = 1 << 24
_SKIPPED_SECTORS = 1 << 11


def _padded(content: bytes) -> bytes:
    return content.ljust(divide(len(content), SECTOR) * SECTOR, b"\0")


def _stored(number: int, content: bytes) -> bytes:
    packed = zlib.compress(content, _STORED)
    return _padded(_GRAIN_MARKER.pack(number * GRAIN_SECTORS, len(packed)) + packed)


_STORED_SECTORS = len(_stored(0, bytes(GRAIN))) // SECTOR


def stream_length(size: int, extents: Iterable[Extent]) -> int:
    """Bytes of the stream for a disk of ``size`` bytes. Raises InvalidInput beyond its addresses."""
    check_sectors(size, "a vmdk stream")
    grains = tables = 0
    for _, runs in data_runs(extents, size, GRAIN, ENTRIES):
        tables += 1
        grains += sum(len(run) for run in runs)
    directory = divide(_tables(size) * 4, SECTOR)
    sectors = GRAIN_SECTORS + grains * _STORED_SECTORS + tables * (1 + TABLE_SECTORS) + 1 + directory + 3
    if sectors > MOST_SECTORS:
        raise InvalidInput("a vmdk stream has no addresses for more than 2 TiB of data")
    return sectors * SECTOR


def encoded(size: int, pieces: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """The stream. pieces: what the extents with data hold, whole and in order, each with its offset."""
    at = 0

    def counted(part: bytes) -> bytes:
        nonlocal at
        at += len(part) // SECTOR
        return part

    directory = array("I", bytes(_tables(size) * 4))
    yield counted(_header(size, _AT_END) + _descriptor(size))
    for table, grains in groupby(_grains(pieces), lambda grain: grain[0] // ENTRIES):
        entries = array("I", bytes(ENTRIES * 4))
        for number, content in grains:
            entries[number % ENTRIES] = at
            yield counted(_stored(number, content))
        directory[table] = at + 1
        yield counted(_table(entries))
    places = _padded(little_endian(directory).tobytes())
    yield counted(_padded(_MARKER.pack(len(places) // SECTOR, 0, _DIRECTORY)))
    footer = _header(size, at)
    yield counted(places)
    yield _padded(_MARKER.pack(1, 0, _FOOTER)) + footer + bytes(SECTOR)


def _grains(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Each grain that a piece touches, once; what no piece holds of it is zeros."""
    number, grain = -1, bytearray(GRAIN)
    for offset, piece in pieces:
        view = memoryview(piece)
        while view:
            of, inside = divmod(offset, GRAIN)
            if of != number:
                if number >= 0:
                    yield number, bytes(grain)
                number, grain = of, bytearray(GRAIN)
            count = min(GRAIN - inside, len(view))
            grain[inside : inside + count] = view[:count]
            offset, view = offset + count, view[count:]
    if number >= 0:
        yield number, bytes(grain)


class VmdkStream:
    """A stream that is being received. label: names it in messages. Raises DiskDamaged, Unsupported.

    size: of its disk; grain_size: of its grains, but the last; in bytes.
    """

    def __init__(self, parts: Iterator[bytes], label: str) -> None:
        self._parts = parts
        self._label = label
        self._got = bytearray()
        header = HEADER.unpack(self._take(SECTOR)[: HEADER.size])
        magic, version, flags, capacity, grain_sectors = header[:5]
        if magic != MAGIC:
            raise DiskDamaged(f"{label} is no vmdk image")
        if not 1 <= version <= _VERSION or not flags & _MARKERS or not flags & _COMPRESSED:
            raise Unsupported(f"{label} is a vmdk image that is no stream")
        self.grain_size = grain_sectors * SECTOR
        if not 0 < self.grain_size <= _LARGEST_GRAIN:
            raise DiskDamaged(f"{label} declares grains of {self.grain_size} bytes")
        self.size = capacity * SECTOR
        self._skip(max(header[10] - 1, 0))

    def grains(self) -> Iterator[tuple[int, bytes]]:
        """What is not a hole, in order, each with its offset; the last one is cut to the disk."""
        following = 0
        while True:
            sector = self._take(SECTOR)
            value, length = _GRAIN_MARKER.unpack_from(sector)
            if not length:
                kind = _MARKER.unpack_from(sector)[2]
                if kind == _END:
                    return
                self._skip(value)
                continue
            if length > 2 * self.grain_size + SECTOR:
                raise DiskDamaged(f"{self._label} has a grain of {length} bytes")
            offset = value * SECTOR
            if offset < following or offset >= self.size or offset % self.grain_size:
                raise DiskDamaged(f"{self._label} has a grain at byte {offset}, after byte {following}")
            following = offset + self.grain_size
            used = _GRAIN_MARKER.size + length
            packed = sector[_GRAIN_MARKER.size :] + self._take(max(divide(used, SECTOR) - 1, 0) * SECTOR)
            yield offset, self._unpacked(offset, packed[:length])

    def _unpacked(self, offset: int, packed: bytes) -> bytes:
        wanted = min(self.grain_size, self.size - offset)
        try:
            content = zlib.decompressobj().decompress(packed, self.grain_size)
        except zlib.error as error:
            raise DiskDamaged(f"{self._label} has a damaged grain at byte {offset}: {error}") from error
        if len(content) < wanted:
            raise DiskDamaged(f"{self._label} has a grain of {len(content)} bytes at byte {offset}")
        return content[:wanted]

    def _take(self, count: int) -> bytes:
        while len(self._got) < count:
            part = next(self._parts, None)
            if part is None:
                raise DiskDamaged(f"{self._label} ends in the middle")
            self._got += part
        taken = bytes(self._got[:count])
        del self._got[:count]
        return taken

    def _skip(self, sectors: int) -> None:
        while sectors:
            count = min(sectors, _SKIPPED_SECTORS)
            self._take(count * SECTOR)
            sectors -= count


def _tables(size: int) -> int:
    return divide(divide(size, GRAIN), ENTRIES)


def _table(entries: array[int]) -> bytes:
    marker = _padded(_MARKER.pack(TABLE_SECTORS, 0, _TABLE))
    return marker + little_endian(entries).tobytes()


def _header(size: int, directory: int) -> bytes:
    return HEADER.pack(
        MAGIC,
        _VERSION,
        NEWLINES | _COMPRESSED | _MARKERS,
        size // SECTOR,
        GRAIN_SECTORS,
        1,
        _DESCRIPTOR_SECTORS,
        ENTRIES,
        0,
        directory,
        GRAIN_SECTORS,
        0,
        LINE_ENDS,
        _DEFLATE,
    ).ljust(SECTOR, b"\0")


def _descriptor(size: int) -> bytes:
    text = descriptor(size, "streamOptimized", "disk.vmdk", hardware=7)
    return text.ljust((GRAIN_SECTORS - 1) * SECTOR, b"\0")
