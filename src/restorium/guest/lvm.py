"""LVM2: physical volumes by their labels, and the logical volumes that the metadata of their groups describes.

Read here and not by dissect, which trusts sizes and depths, reads metadata that wraps around its ring as garbage, and
lays stripes one behind the other. Linear and striped segments are read; a volume with any other is left out.
Source: the layouts of LVM2's own label.h, layout.h and its text format.
"""

from __future__ import annotations

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from restorium.guest.damage import translated
from restorium.guest.source import Placed, Region
from restorium.vocabulary.errors import DataCorrupt, Unsupported

_SECTOR = 512
_LABELS = 4
"""Sectors in which the label may be."""
_LABEL = b"LABELONE"
_TYPE = b"LVM2 001"
_MAGIC = b" LVM2 x[5A%r0N*>"
_RING = 512
"""Where the ring of metadata begins in its area."""
_IGNORED = 1
_MOST_TEXT = 1 << 20
_BYTES = 64 << 20
"""What looking at one label or one group may read."""
_TOKEN = re.compile(
    r'\s+|#[^\n]*|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s#"{}\[\]=,]+)|(?P<mark>[{}\[\]=,])'
)
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Group:
    """A volume group as one of its physical volumes tells of it. ``seqno`` counts its changes."""

    id: str
    seqno: int
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Physical:
    """A physical volume. group: the one it is in; None if it holds no metadata that can be read."""

    id: str
    region: Region
    group: _Group | None


@dataclass(frozen=True, slots=True)
class _Segment:
    """``size`` bytes from ``start``, dealt out to ``stripes``, ``chunk`` bytes at a time."""

    start: int
    size: int
    chunk: int
    stripes: Sequence[Region]

    def piece(self, inside: int) -> tuple[Region, int, int]:
        """Where a byte of the segment is, and how many follow it there."""
        number, place = divmod(inside, self.chunk)
        row, stripe = divmod(number, len(self.stripes))
        return self.stripes[stripe], row * self.chunk + place, self.chunk - place


class LogicalVolume(Placed):
    """The bytes of a logical volume, which ends where a segment is missing."""

    def __init__(self, segments: Sequence[_Segment]) -> None:
        whole, end = [], 0
        for segment in sorted(segments, key=lambda each: each.start):
            if segment.start != end:
                break
            whole.append(segment)
            end += segment.size
        super().__init__(end)
        self._segments = whole
        self._starts = [segment.start for segment in whole]
        self._budget = segments[0].stripes[0].disk.budget

    def _at(self, place: int, count: int) -> bytes:
        self._budget.spend(0)
        parts: list[bytes] = []
        while count:
            segment = self._segments[bisect_right(self._starts, place) - 1]
            inside = place - segment.start
            region, offset, following = segment.piece(inside)
            wanted = min(count, following, segment.size - inside)
            region.seek(offset)
            part = region.read(wanted)
            parts.append(part)
            if len(part) < wanted:
                break
            place, count = place + wanted, count - wanted
        return b"".join(parts)


def logical(regions: Sequence[Region]) -> Iterator[LogicalVolume]:
    """The volumes of all groups that have a physical volume among ``regions``. What is damaged is left out."""
    physical = {found.id: found for region in regions if (found := _physical(region)) is not None}
    newest: dict[str, _Group] = {}
    for group in (each.group for each in physical.values()):
        if group is not None and (group.id not in newest or group.seqno > newest[group.id].seqno):
            newest[group.id] = group
    for group in newest.values():
        yield from _of_group(group.told, physical)


def _physical(region: Region) -> _Physical | None:
    """None for a region that does not belong to LVM, and for a label that is damaged."""
    region.disk.budget.allow(_BYTES)
    region.seek(0)
    head = region.read(_LABELS * _SECTOR)
    for place in range(0, len(head), _SECTOR):
        sector = head[place : place + _SECTOR]
        if sector.startswith(_LABEL):
            try:
                with translated("an LVM label"):
                    return _labelled(region, sector)
            except (DataCorrupt, Unsupported):
                return None
    return None


def _labelled(region: Region, sector: bytes) -> _Physical:
    checksum, offset, kind = struct.unpack_from("<II8s", sector, 16)
    if kind != _TYPE or _checksum(sector[20:]) != checksum:
        raise ValueError("the label's checksum is wrong")
    identifier = sector[offset : offset + 32].decode("ascii")
    areas = struct.iter_unpack("<QQ", sector[offset + 40 : offset + 40 + (_SECTOR - offset - 40) // 16 * 16])
    data, metadata = list(_until_zero(areas)), list(_until_zero(areas))
    if not data:
        raise ValueError("there is no room for data")
    found = (_metadata(region, start) for start, _ in metadata)
    return _Physical(identifier, region, next((each for each in found if each is not None), None))


def _until_zero(areas: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, size in areas:
        if start == 0:
            return
        yield start, size


def _metadata(region: Region, start: int) -> _Group | None:
    """The group that a metadata area tells of; None for one that is not in use or damaged: there may be another."""
    try:
        with translated("LVM metadata"):
            region.seek(start)
            header = region.read(_SECTOR)
            checksum, magic, _, _, area = struct.unpack_from("<I16sIQQ", header)
            offset, size, text_checksum, flags = struct.unpack_from("<QQII", header, 40)
            if magic != _MAGIC or _checksum(header[4:]) != checksum:
                raise ValueError("the header's checksum is wrong")
            if not size or flags & _IGNORED or size > _MOST_TEXT:
                return None
            straight = min(size, max(area - offset, 0))
            text = b""
            for place, count in ((offset, straight), (_RING, size - straight)):
                region.seek(start + place)
                text += region.read(count)
            if _checksum(text) != text_checksum:
                raise ValueError("the metadata's checksum is wrong")
            parsed = parse(text.rstrip(b"\0").decode())
            [told] = [section for section in parsed.values() if isinstance(section, dict)]
            return _Group(str(told["id"]), _number(told, "seqno"), told)
    except (DataCorrupt, Unsupported):
        return None


def _of_group(group: dict[str, Any], physical: dict[str, _Physical]) -> Iterator[LogicalVolume]:
    described = group.get("logical_volumes")
    for volume in described.values() if isinstance(described, dict) else ():
        try:
            with translated("a logical volume"):
                found = LogicalVolume(list(_segments(group, volume, physical)))
                shown = "VISIBLE" in volume["status"]
        except (DataCorrupt, Unsupported):
            continue
        if shown:
            yield found


def _segments(
    group: dict[str, Any], volume: dict[str, Any], physical: dict[str, _Physical]
) -> Iterator[_Segment]:
    extent = _number(group, "extent_size") * _SECTOR
    for each in volume.values():
        if not isinstance(each, dict):
            continue
        if each["type"] not in ("striped", "linear"):
            raise NotImplementedError(f"segments of type {each['type']}")
        size = _number(each, "extent_count") * extent
        stripes = list(_stripes(group, each["stripes"], extent, physical))
        chunk = size if len(stripes) == 1 else _number(each, "stripe_size") * _SECTOR
        if not size or not chunk or not stripes:
            raise ValueError("a segment without extents")
        yield _Segment(_number(each, "start_extent") * extent, size, chunk, stripes)


def _stripes(
    group: dict[str, Any], told: list[Any], extent: int, physical: dict[str, _Physical]
) -> Iterator[Region]:
    for name, first in zip(told[::2], told[1::2], strict=True):
        described = group["physical_volumes"][name]
        region = physical[described["id"].replace("-", "")].region
        start = _number(described, "pe_start") * _SECTOR + int(first) * extent
        yield Region(region.disk, region.offset + start, max(region.size - start, 0))


def _number(told: dict[str, Any], name: str) -> int:
    """Raises ValueError for what is none."""
    value = told.get(name)
    if not isinstance(value, int):
        raise ValueError(f"{name} is no number")
    return value


def _checksum(content: bytes) -> int:
    """LVM's CRC-32: that of zlib from another beginning, and not inverted."""
    return zlib.crc32(content, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def parse(text: str) -> dict[str, Any]:
    """LVM's text format: sections as dictionaries, numbers, words and texts, flat lists. Raises ValueError.

    Takes time in proportion to the text, and no depth of recursion.
    """
    root: dict[str, Any] = {}
    sections = [root]
    tokens = _tokens(text)
    for quoted, name in tokens:
        if (quoted, name) == (False, "}"):
            sections.pop()
            if not sections:
                raise ValueError("a section ends that has not begun")
            continue
        mark = next(tokens, (True, "nothing"))
        if mark == (False, "{"):
            inner: dict[str, Any] = {}
            sections[-1][name] = inner
            sections.append(inner)
        elif mark == (False, "="):
            sections[-1][name] = _value(tokens)
        else:
            raise ValueError(f"{name:.40} is followed by {mark[1]:.40}")
    if len(sections) != 1:
        raise ValueError("a section does not end")
    return root


def _value(tokens: Iterator[tuple[bool, str]]) -> Any:
    token = next(tokens, (False, "}"))
    if token != (False, "["):
        return _scalar(token)
    values: list[Any] = []
    for token in tokens:
        if token == (False, "]"):
            return values
        if token != (False, ","):
            values.append(_scalar(token))
    raise ValueError("a list does not end")


def _scalar(token: tuple[bool, str]) -> Any:
    quoted, text = token
    if not quoted and text in "{}[]=,":
        raise ValueError(f"{text} is no value")
    return int(text) if not quoted and _NUMBER.fullmatch(text) else text


def _tokens(text: str) -> Iterator[tuple[bool, str]]:
    """Texts, told apart from words and marks."""
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"a text does not end at character {place}")
        place = match.end()
        if match["text"] is not None:
            yield True, match["text"].replace('\\"', '"').replace("\\\\", "\\")
        elif match.lastgroup is not None:
            yield False, match[0]
