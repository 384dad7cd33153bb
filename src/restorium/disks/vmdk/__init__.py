"""vmdk images.

Read: sparse, stream-optimised and flat, with a descriptor inside or beside. Written: one sparse file with its
descriptor inside and grains of 64 KiB, as VMware Workstation and QEMU make it. All maps are laid down when the image
is made; the header is written last, so that a crash before leaves a file that is no image.
"""

from __future__ import annotations

from pathlib import Path

from restorium.disks.interface import DiskReader
from restorium.disks.vmdk.writer import create_vmdk, reopen_vmdk

__all__ = ["create_vmdk", "open_vmdk", "reopen_vmdk"]


def open_vmdk(path: Path) -> DiskReader:
    """Raises DiskMissing, DiskDamaged, Unsupported."""
    # dissect takes longer to import than the rest of a backup or restore.
    from restorium.disks.vmdk.reader import VmdkReader

    return VmdkReader(path)
