"""A VM's images opened, and what a restore point says of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from restorium.disks import detect_format, open_disk
from restorium.disks.interface import DiskReader
from restorium.hosts.image_folder.descriptions import DescribedDisk, Description
from restorium.hosts.image_folder.folder import inside
from restorium.hosts.image_folder.hardware import read_hardware
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.vocabulary.errors import DiskDamaged

KIND = "image-folder"


def open_still(stack: ExitStack, folder: Path, disk: DescribedDisk) -> DiskReader:
    """The image, which QEMU is kept from writing to until the stack is closed. Raises HostError if one does."""
    path = inside(folder, disk.file)
    stack.callback(HeldStill(path).close)
    return stack.enter_context(open_image(path, disk))


def open_image(path: Path, disk: DescribedDisk) -> DiskReader:
    reader = open_disk(path, disk.format)
    if disk.size is not None and reader.size < disk.size:
        reader.close()
        raise DiskDamaged(f"{path} holds a disk of {reader.size} bytes, its description says {disk.size}")
    return reader


def disk_info(path: Path, disk: DescribedDisk, size: int) -> DiskInfo:
    return DiskInfo(disk.key, size, disk.format or detect_format(path))


def described(description: Description, disks: tuple[DiskInfo, ...], kind: str = KIND) -> VmDescription:
    """settings: what the description says besides name and disks, and what each disk says besides its place."""
    settings: dict[str, Any] = {
        "vm": dict(description.settings),
        "disks": {disk.key: dict(disk.settings) for disk in description.disks if disk.settings},
    }
    return VmDescription(description.name, disks, settings, kind, read_hardware(description))
