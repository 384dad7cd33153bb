"""Which module reads and writes which format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from restorium.disks.files import ImageFile
from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.disks.qcow2 import Qcow2Reader, create_qcow2, reopen_qcow2
from restorium.disks.raw import RawReader, create_raw, reopen_raw
from restorium.disks.vhdx import create_vhdx, open_vhdx, reopen_vhdx
from restorium.disks.vmdk import create_vmdk, open_vmdk, reopen_vmdk
from restorium.vocabulary.errors import InvalidInput

_READERS: dict[str, Callable[[Path], DiskReader]] = {
    "raw": RawReader,
    "qcow2": Qcow2Reader,
    "vmdk": open_vmdk,
    "vhdx": open_vhdx,
}
_MAGICS = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"\xbe\xba\xfe\xca\0\0\0\0": "vmdk",
    b"vhdxfile": "vhdx",
}

FORMATS = tuple(_READERS)
"""Formats that are read."""

_CREATORS: dict[str, Callable[[Path, int, Iterable[Extent]], DiskWriter]] = {
    "raw": create_raw,
    "qcow2": create_qcow2,
    "vmdk": create_vmdk,
    "vhdx": create_vhdx,
}
_REOPENERS: dict[str, Callable[[Path, int], DiskWriter]] = {
    "raw": reopen_raw,
    "qcow2": reopen_qcow2,
    "vmdk": reopen_vmdk,
    "vhdx": reopen_vhdx,
}

WRITTEN_FORMATS = tuple(_CREATORS)
"""Formats that are written."""


def detect_format(path: Path) -> str:
    """The format by the file's first bytes; raw if no other claims them. Raises DiskMissing, DiskDamaged."""
    with closing(ImageFile.to_read(path)) as file:
        beginning = file.read(0, min(file.length, max(map(len, _MAGICS))))
    return next((name for magic, name in _MAGICS.items() if beginning.startswith(magic)), "raw")


def open_disk(path: Path, format: str | None = None) -> DiskReader:
    """The disk in an image file. ``format``: one of FORMATS, or None to tell by the file's first bytes.

    Raises DiskMissing if there is no file; DiskDamaged if it is not of its format or shorter than its own
    header says; Unsupported for features that are not read, such as backing files; InvalidInput for another
    format.
    """
    name = detect_format(path) if format is None else format
    if name not in _READERS:
        raise InvalidInput(
            f"{name!r} is no format of a disk image that can be read; those are {_list(FORMATS)}"
        )
    return _READERS[name](path)


def create_disk(path: Path, size: int, format: str, extents: Iterable[Extent]) -> DiskWriter:
    """A new image of ``size`` bytes that reads as zeros, in the place of what stands there.

    format: one of WRITTEN_FORMATS. extents: what will be written and what stays a hole, covering the disk; an
    image that is not raw takes no writes elsewhere. Raises TargetFull, HostError, InvalidInput.
    """
    _check_written(format)
    if size < 0:
        raise InvalidInput(f"a disk cannot have {size} bytes")
    return _CREATORS[format](path, size, extents)


def reopen_disk(path: Path, size: int, format: str) -> DiskWriter:
    """An image made before, to write on.

    An image that is not raw takes writes where it has room for data already. Raises DiskMissing, and DiskDamaged if the
    image was not made to its end or has another size.
    """
    _check_written(format)
    return _REOPENERS[format](path, size)


def _check_written(name: str) -> None:
    if name not in WRITTEN_FORMATS:
        raise InvalidInput(f"{name!r} images are not written; those written are {_list(WRITTEN_FORMATS)}")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
