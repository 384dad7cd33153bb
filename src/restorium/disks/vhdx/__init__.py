"""vhdx images.

Read: fixed, dynamic and differencing ones that were closed cleanly. Written: dynamic ones with blocks of 1 MiB, as
Hyper-V and QEMU make them. All maps are laid down when the image is made; what names it an image is written last, so
that a crash before leaves a file that is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from restorium.disks.files import BlockFile, ImageFile
from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.disks.vhdx.writer import check_vhdx_size, make_vhdx, resume_vhdx

__all__ = [
    "check_vhdx_size",
    "create_vhdx",
    "make_vhdx",
    "open_vhdx",
    "read_vhdx",
    "reopen_vhdx",
    "resume_vhdx",
]


_NO_PARENTS: Iterator[BlockFile] = iter(())


def create_vhdx(path: Path, size: int, extents: Iterable[Extent]) -> DiskWriter:
    """See ``make_vhdx``. Raises InvalidInput over 64 TiB."""
    check_vhdx_size(path, size)
    return make_vhdx(ImageFile.new(path), size, extents)


def reopen_vhdx(path: Path, size: int) -> DiskWriter:
    """See ``resume_vhdx``."""
    return resume_vhdx(ImageFile.to_write(path), size)


def open_vhdx(path: Path) -> DiskReader:
    """Raises DiskMissing, DiskDamaged, Unsupported."""
    return read_vhdx(ImageFile.to_read(path))


def read_vhdx(file: BlockFile, parents: Iterator[BlockFile] = _NO_PARENTS) -> DiskReader:
    """The disk in a file that need not be this machine's.

    parents: opens what differencing disks build on, the nearest first; only what is needed is taken. All are closed
    with the disk, or if it cannot be opened: raises DiskDamaged, Unsupported.
    """
    # dissect takes longer to import than the rest of a backup or restore.
    from restorium.disks.vhdx.reader import VhdxReader

    return VhdxReader(file, parents)
