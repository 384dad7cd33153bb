"""Images for VMs that run before their disks are there: empty ones, above what is served over NBD."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from restorium.disks import create_disk
from restorium.disks.interface import Extent
from restorium.disks.qcow2.header import SECTOR
from restorium.hosts.interface import VmDescription
from restorium.vocabulary.errors import Unsupported

FORMAT = "qcow2"
RECONNECT_SECONDS = 24 * 3600
"""So long a guest waits for the server of its disks before it sees an error."""
NEARLY = 0.999
"""The most of a disk that is said to be moved while QEMU is at it."""


def overlaid(description: VmDescription) -> VmDescription:
    """With disks as they are restored. Raises Unsupported for a disk that no such image can hold."""
    for disk in description.disks:
        if disk.size % SECTOR:
            raise Unsupported(f"disk {disk.key!r} of {disk.size} bytes has no whole sectors")
    return replace(description, disks=tuple(replace(disk, format=FORMAT) for disk in description.disks))


def make_overlay(image: Path, size: int) -> None:
    """Whole or not there after a crash. One that is there is left, for it holds what the guest has written."""
    if not image.exists():
        making = image.with_name(f"{image.name}.new")
        with create_disk(making, size, FORMAT, [Extent(0, size, hole=True)]) as writer:
            writer.flush()
        making.replace(image)
