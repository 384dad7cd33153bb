"""Disks with LVM volumes, laid out as LVM2 does, for no kernel device-mapper is at hand to make them.

lvm2 itself takes them for its own: on loop devices ``vgck`` finds no fault, and ``lvs`` shows their segments.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EXTENT = 1 << 20
_SECTOR = 512
_AREA = 4096
_AREA_BYTES = 1044480
_FIRST = 1 << 20
_MAGIC = b" LVM2 x[5A%r0N*>"


@dataclass(frozen=True)
class Segment:
    """``count`` extents of a volume, on one physical volume or in stripes, each from an extent of it.

    chunk: bytes of a stripe.
    """

    count: int
    stripes: Sequence[tuple[int, int]]
    chunk: int = 0
    kind: str = "striped"


def physical_volumes(
    folder: Path,
    volumes: Mapping[str, tuple[Path, Sequence[Segment]]],
    sizes: Sequence[int],
    *,
    seqno: int = 5,
    name: str = "vg0",
    at: int = _SECTOR,
    telling: Sequence[int] | None = None,
) -> list[Path]:
    """Disks of so many extents each, all of one group, with the content of images as logical volumes.

    at: where in the ring the metadata begins. telling: which of the disks hold metadata, all if None.
    """
    text = _text(name, volumes, sizes, seqno)
    made = []
    for number, extents in enumerate(sizes):
        path = folder / f"{name}-{number}.raw"
        with path.open("wb") as file:
            file.truncate(_FIRST + extents * EXTENT)
            _put(file, {_SECTOR: _label(name, number, _FIRST + extents * EXTENT)})
            if telling is None or number in telling:
                _put(file, _area(text, at))
            for image, segments in volumes.values():
                content, start = image.read_bytes(), 0
                for segment in segments:
                    inside = content[start : start + segment.count * EXTENT]
                    _put(file, _dealt(inside, segment, number))
                    start += segment.count * EXTENT
        made.append(path)
    return made


def checksum(content: bytes) -> int:
    return zlib.crc32(content, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def metadata_area(text: bytes) -> dict[int, bytes]:
    """An area that holds this text, by place on the disk."""
    return _area(text, _SECTOR)


def _put(file: object, parts: Mapping[int, bytes]) -> None:
    for place, content in parts.items():
        file.seek(place)  # type: ignore[attr-defined]
        file.write(content)  # type: ignore[attr-defined]


def _dealt(content: bytes, segment: Segment, disk: int) -> dict[int, bytes]:
    """What of a segment is on a disk."""
    chunk = segment.chunk or len(content)
    parts: dict[int, bytes] = {}
    for number, start in enumerate(range(0, len(content), chunk)):
        row, column = divmod(number, len(segment.stripes))
        on, first = segment.stripes[column]
        if on == disk:
            parts[_FIRST + first * EXTENT + row * chunk] = content[start : start + chunk]
    return parts


def _uuid(name: str, number: int) -> str:
    return f"{name:x<6.6}-aaaa-bbbb-cccc-dddd-eeee-{number:06}"


def _label(name: str, number: int, size: int) -> bytes:
    header = struct.pack("<32sQ", _uuid(name, number).replace("-", "").encode(), size)
    header += struct.pack("<4Q", _FIRST, 0, 0, 0) + struct.pack("<4Q", _AREA, _AREA_BYTES, 0, 0)
    header += struct.pack("<II", 2, 1)
    covered = (struct.pack("<I8s", 32, b"LVM2 001") + header).ljust(_SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", 1, checksum(covered)) + covered


def _area(text: bytes, at: int) -> dict[int, bytes]:
    where = struct.pack("<QQII", at, len(text), checksum(text), 0)
    covered = (struct.pack("<16sIQQ", _MAGIC, 1, _AREA, _AREA_BYTES) + where).ljust(_SECTOR - 4, b"\0")
    straight = text[: _AREA_BYTES - at]
    parts = {_AREA: struct.pack("<I", checksum(covered)) + covered, _AREA + at: straight}
    return parts | ({_AREA + _SECTOR: text[len(straight) :]} if len(straight) < len(text) else {})


def _text(
    name: str, volumes: Mapping[str, tuple[Path, Sequence[Segment]]], sizes: Sequence[int], seqno: int
) -> bytes:
    lines = [
        f"{name} {{",
        f'id = "{_uuid(name, 999)}"',
        f"seqno = {seqno}",
        'format = "lvm2"\t\t\t# informational',
        'status = ["RESIZEABLE", "READ", "WRITE"]',
        "flags = []",
        f"extent_size = {EXTENT // _SECTOR}\t\t# 1024 Kilobytes",
        "max_lv = 0\nmax_pv = 0\nmetadata_copies = 0",
        "physical_volumes {",
    ]
    for number, extents in enumerate(sizes):
        lines += [
            f"pv{number} {{",
            f'id = "{_uuid(name, number)}"',
            f'device = "/dev/sd{number}"\t# Hint only',
            'status = ["ALLOCATABLE"]\nflags = []',
            f"dev_size = {(_FIRST + extents * EXTENT) // _SECTOR}\t# {extents + 1} Megabytes",
            f"pe_start = {_FIRST // _SECTOR}\npe_count = {extents}\t# {extents} Megabytes",
            "}",
        ]
    lines += ["}", "logical_volumes {"]
    for place, (volume, (_, segments)) in enumerate(volumes.items()):
        lines += [f"{volume} {{", f'id = "{_uuid("volume", place)}"']
        lines += ['status = ["READ", "WRITE", "VISIBLE"]\nflags = []']
        lines += ['creation_time = 1795545101\t# 2026-11-24 18:31:41 +0000\ncreation_host = "vm"']
        lines += [f"segment_count = {len(segments)}"]
        start = 0
        for number, segment in enumerate(segments, 1):
            lines += [f"segment{number} {{", f"start_extent = {start}", f"extent_count = {segment.count}"]
            lines += [f'type = "{segment.kind}"', f"stripe_count = {len(segment.stripes)}\t# linear"]
            lines += [f"stripe_size = {segment.chunk // _SECTOR}"] if segment.chunk else []
            lines += [
                "stripes = [",
                ",\n".join(f'"pv{disk}", {first}' for disk, first in segment.stripes),
                "]",
                "}",
            ]
            start += segment.count
        lines += ["}"]
    lines += ["}", "}"]
    lines += ["# Generated by LVM2 version 2.03.16(2) (2022-05-18): Tue Nov 24 18:31:41 2026"]
    lines += [
        'contents = "Text Format Volume Group"\nversion = 1\ndescription = "Write from vgcreate -s 1M vg0."'
    ]
    lines += ['creation_host = "vm"\t# Linux vm 6.1.0 #1 SMP "quoted" x86_64\ncreation_time = 1795545101']
    return "\n".join([*lines, ""]).encode() + b"\0"
