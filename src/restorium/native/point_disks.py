"""What is in restore points: the VM's hardware, what there is of its disks, and their bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import msgspec
from starlette.responses import Response, StreamingResponse

from restorium.disks.interface import data_extents
from restorium.flows.point_disks import PointDisk, disks_of, hardware_of
from restorium.hosts.interface import Firmware
from restorium.native.exchange import Items, whole
from restorium.native.operation import Call, Operation
from restorium.native.roles import RESTORERS
from restorium.vocabulary.errors import InvalidInput, NotFound

_PIECE_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})", re.ASCII)


class Disk(msgspec.Struct):
    """``number`` is its place in the restore point, ``size`` in bytes, ``format`` that of the image it was."""

    number: int
    key: str
    size: int
    format: str


class Hardware(msgspec.Struct):
    """What is known of it; null is unknown. ``networks``: those that its cards are on, by its host's names."""

    memory_mib: int | None
    cpus: int | None
    firmware: Firmware | None
    networks: list[str]


class Extent(msgspec.Struct):
    """Bytes that hold data; what lies between extents is zeros."""

    offset: int
    length: int


def _list(call: Call) -> Items[Disk]:
    disks = disks_of(call.engine, call.id, call.visible)
    return Items([Disk(number, disk.key, disk.size, disk.format) for number, disk in enumerate(disks)])


def _hardware(call: Call) -> Hardware:
    found = hardware_of(call.engine, call.id, call.visible)
    networks = dict.fromkeys(nic.network for nic in found.nics if nic.network)
    return Hardware(found.memory_mib, found.cpus, found.firmware, list(networks))


def _extents(call: Call) -> Items[Extent]:
    """As many as ``?limit=`` from the byte ``?offset=`` on, to be asked for again from the end of the last."""
    disk = _disk(call)
    text = call.request.query_params.get("offset", "0")
    start = whole(text, 0, disk.size)
    if start is None:
        raise InvalidInput(f"offset={text} is not a number from 0 to {disk.size}")
    data = (extent for extent in data_extents(disk.extents()) if extent.end > start)
    parts = ((max(extent.offset, start), extent.end) for extent in data)
    return Items([Extent(first, end - first) for first, end in islice(parts, call.limit)])


def _data(call: Call) -> Response:
    """The whole disk as a raw image, or the one range of bytes that a Range header asks for."""
    disk = _disk(call)
    start, end = _range(call, disk)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if (start, end) != (0, disk.size):
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{disk.size}"
    status = 206 if "Content-Range" in headers else 200
    first = disk.read(start, min(end - start, _PIECE_BYTES))  # what cannot be read is told with the status
    return StreamingResponse(_pieces(disk, first, start, end), status, headers, "application/octet-stream")


def _pieces(disk: PointDisk, first: bytes, start: int, end: int) -> Iterator[bytes]:
    yield first
    for offset in range(start + len(first), end, _PIECE_BYTES):
        yield disk.read(offset, min(_PIECE_BYTES, end - offset))


def _range(call: Call, disk: PointDisk) -> tuple[int, int]:
    text = call.request.headers.get("Range")
    if text is None:
        return 0, disk.size
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None:
        raise InvalidInput(f"Range: {text} is not read", hint="Ask for one range, such as bytes=0-1048575.")
    start = int(match[1])
    end = min(int(match[2]) + 1, disk.size) if match[2] else disk.size
    if start >= end:
        raise InvalidInput(f"Range: {text} holds no byte of a disk of {disk.size} bytes")
    return start, end


def _disk(call: Call) -> PointDisk:
    disks = disks_of(call.engine, call.id, call.visible)
    number = call.request.path_params["number"]
    place = whole(number, 0, len(disks) - 1)
    if place is None:
        raise NotFound(f"the restore point has no disk number {number}, but {len(disks)} disks from 0 on")
    return disks[place]


_DISK = "/restore-points/{id}/disks/{number}"

OPERATIONS = (
    Operation("GET", "/restore-points/{id}/hardware", _hardware, RESTORERS),
    Operation("GET", "/restore-points/{id}/disks", _list, RESTORERS),
    Operation("GET", f"{_DISK}/extents", _extents, RESTORERS, query=("offset", "limit")),
    Operation("GET", f"{_DISK}/data", _data, RESTORERS, download=True),
)
