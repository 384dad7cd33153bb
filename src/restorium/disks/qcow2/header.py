"""The header of a qcow2 image, as the QEMU project's docs/interop/qcow2.txt has it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from restorium.disks.files import ImageFile
from restorium.vocabulary.errors import DiskDamaged, Unsupported

MAGIC = b"QFI\xfb"
SECTOR = 512

_VERSION_2 = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")
_COMPRESSION_AT = _VERSION_2.size + _VERSION_3.size
_LARGEST_L1 = 32 << 20
_CLUSTER_BITS = range(9, 22)
_DIRTY, _CORRUPT, _EXTERNAL_DATA, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN = _DIRTY | _CORRUPT | _EXTERNAL_DATA | _COMPRESSION | _EXTENDED_L2
_COMPRESSIONS = {0: "zlib", 1: "zstd"}
_FLATTEN = "Make a copy without it: qemu-img convert -O qcow2 OLD NEW, and name the copy in the description."


@dataclass(frozen=True, slots=True)
class Header:
    """What reading needs. ``size``: the disk's bytes, whole sectors, as a VM sees them."""

    version: int
    cluster_bits: int
    size: int
    l1_offset: int
    l1_entries: int
    compression: str

    @property
    def cluster_size(self) -> int:
        return 1 << self.cluster_bits

    @property
    def table_entries(self) -> int:
        """Entries of an L2 table, which fills a cluster."""
        return self.cluster_size // 8

    @property
    def table_span(self) -> int:
        """Bytes of disk that one L2 table maps."""
        return self.cluster_size * self.table_entries


def read_header(file: ImageFile) -> Header:
    """Raises DiskDamaged for what no qcow2 image has, Unsupported for what is not read here."""
    start = file.read(0, min(file.length, _COMPRESSION_AT + 1)).ljust(_COMPRESSION_AT + 1, b"\0")
    if not start.startswith(MAGIC):
        raise DiskDamaged(f"{file.path} is not a qcow2 image")
    if file.length < _VERSION_2.size:
        raise DiskDamaged(f"{file.path} ends inside its header")
    fields = _VERSION_2.unpack_from(start)
    _, version, backing, _, cluster_bits, size, encryption, l1_entries, l1_offset, *_ = fields
    features, header_length = 0, _VERSION_2.size
    if version == 3:
        features, _, _, _, header_length = _VERSION_3.unpack_from(start, _VERSION_2.size)
        if header_length < _COMPRESSION_AT or file.length < header_length:
            raise DiskDamaged(f"{file.path} has a header of {header_length} bytes")
    elif version != 2:
        raise Unsupported(
            f"{file.path} is a qcow image of version {version}; 2 and 3 are read", hint=_FLATTEN
        )
    _check_features(file, features, backing=backing, encryption=encryption)
    if cluster_bits not in _CLUSTER_BITS:
        raise DiskDamaged(
            f"{file.path} has clusters of 2^{cluster_bits} bytes; a qcow2 image has 2^9 to 2^21"
        )
    method = start[_COMPRESSION_AT] if features & _COMPRESSION and header_length > _COMPRESSION_AT else 0
    if method not in _COMPRESSIONS:
        raise Unsupported(f"{file.path} is compressed by method {method}, which is not known", hint=_FLATTEN)
    needed = -(-size // (1 << 2 * cluster_bits - 3))
    header = Header(version, cluster_bits, size // SECTOR * SECTOR, l1_offset, needed, _COMPRESSIONS[method])
    _check_l1(file, header, l1_entries)
    return header


def pack_header(
    *,
    size: int,
    cluster_bits: int,
    l1_offset: int,
    l1_entries: int,
    refcounts_at: int,
    refcount_clusters: int,
) -> bytes:
    """The header of a version 3 image with 16-bit refcounts and nothing special."""
    return _VERSION_2.pack(
        MAGIC, 3, 0, 0, cluster_bits, size, 0, l1_entries, l1_offset, refcounts_at, refcount_clusters, 0, 0
    ) + _VERSION_3.pack(0, 0, 0, 4, _COMPRESSION_AT)


def _check_features(file: ImageFile, features: int, *, backing: int, encryption: int) -> None:
    if features & _CORRUPT:
        raise DiskDamaged(f"{file.path} is marked as corrupt", hint="Repair it with qemu-img check -r all.")
    unread = {
        "a backing file": backing,
        "encryption": encryption,
        "an external data file": features & _EXTERNAL_DATA,
        "extended L2 entries": features & _EXTENDED_L2,
        f"features that are not known ({features & ~_KNOWN:#x})": features & ~_KNOWN,
    }
    for what, has_it in unread.items():
        if has_it:
            raise Unsupported(f"{file.path} has {what}, which is not read", hint=_FLATTEN)


def _check_l1(file: ImageFile, header: Header, entries: int) -> None:
    length = header.l1_entries * 8
    if entries < header.l1_entries:
        raise DiskDamaged(f"{file.path} maps less than the {header.size} bytes that it declares")
    if length > _LARGEST_L1:
        raise DiskDamaged(
            f"{file.path} declares a map of {length} bytes; a qcow2 image has {_LARGEST_L1} at most"
        )
    if header.l1_offset % header.cluster_size or header.l1_offset + length > file.length:
        raise DiskDamaged(f"{file.path} ends before its map, which is at byte {header.l1_offset}")
