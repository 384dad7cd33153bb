"""vhdx images.

Read: fixed and dynamic ones that were closed cleanly. Written: dynamic ones with blocks of 1 MiB, as Hyper-V and QEMU
make them. All maps are laid down when the image is made; what names it an image is written last, so that a crash
before leaves a file that is none.
"""

from __future__ import annotations

from pathlib import Path

from restorium.disks.interface import DiskReader
from restorium.disks.vhdx.writer import create_vhdx, reopen_vhdx

__all__ = ["create_vhdx", "open_vhdx", "reopen_vhdx"]


def open_vhdx(path: Path) -> DiskReader:
    """Raises DiskMissing, DiskDamaged, Unsupported."""
    # dissect takes longer to import than the rest of a backup or restore.
    from restorium.disks.vhdx.reader import VhdxReader

    return VhdxReader(path)
