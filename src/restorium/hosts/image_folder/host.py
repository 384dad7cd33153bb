"""The folder as a host: its VMs, and holding one still."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog

from restorium.disks import detect_format, open_disk
from restorium.disks.interface import DiskReader
from restorium.hosts.image_folder.descriptions import SUFFIX, DescribedDisk, Description, read_description
from restorium.hosts.image_folder.folder import check_ref, explained, inside
from restorium.hosts.image_folder.hardware import read_hardware
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.image_folder.removal import remove_restored
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.hosts.interface import (
    Chain,
    DiskInfo,
    LocalImage,
    OpenVm,
    RestoreTarget,
    VmDescription,
    VmInfo,
)
from restorium.vocabulary.errors import DiskDamaged, InvalidInput, RestoriumError, Unsupported, VmNotFound
from restorium.vocabulary.restore import Placement

_log = structlog.get_logger(__name__)
_ANYWHERE = Placement()


class ImageFolder:
    """A folder of disk images and VM descriptions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Raises HostError unless the folder can be listed."""
        self._refs()

    def inventory(self) -> list[VmInfo]:
        """Every description, by ref.

        One that cannot be understood is listed under its ref, without disks; a disk that cannot be opened is
        left out. Both are logged with the reason, which ``open_vm`` raises.
        """
        return [self._listed(ref) for ref in self._refs()]

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        """Disks open, and QEMU kept from writing to them, until the block is left."""
        description = self._description(ref)
        with ExitStack() as stack:
            readers, infos = [], []
            for disk in description.disks:
                path = inside(self._folder, disk.file)
                stack.callback(HeldStill(path).close)
                reader = stack.enter_context(_open(path, disk))
                readers.append(reader)
                infos.append(_info(path, disk, reader))
            yield OpenVm(
                VmDescription(
                    description.name,
                    tuple(infos),
                    _settings(description),
                    hardware=read_hardware(description),
                ),
                readers,
            )

    def local_images(self, ref: str) -> list[LocalImage]:
        images = []
        for disk in self._description(ref).disks:
            path = inside(self._folder, disk.file)
            images.append(LocalImage(path, disk.format or detect_format(path)))
        return images

    def power_on(self, ref: str) -> None:
        raise Unsupported(
            "its host only keeps images and powers nothing on", hint="Start the VM where its images are used."
        )

    def close(self) -> None:
        """Nothing is kept open."""

    def remove_restored(self, ref: str, attempt: str) -> None:
        remove_restored(self._folder, ref, attempt)

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = _ANYWHERE,
    ) -> RestoreTarget:
        if placement.chooses:
            raise Unsupported("a folder of images has neither storage nor networks to choose from")
        return ImageFolderTarget(
            self._folder, description, attempt=attempt, original_ref=original_ref, new_name=new_name
        )

    def _refs(self) -> list[str]:
        with explained(f"listing {self._folder}"), os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries]
        return sorted(name.removesuffix(SUFFIX) for name in names if _is_description(name))

    def _description(self, ref: str) -> Description:
        try:
            path = self._folder / f"{check_ref(ref)}{SUFFIX}"
        except InvalidInput as error:
            raise VmNotFound(f"{self._folder} has no VM {ref!r}") from error
        return read_description(path)

    def _listed(self, ref: str) -> VmInfo:
        try:
            description = self._description(ref)
        except RestoriumError as error:
            _log.warning("a VM's description cannot be used", vm=ref, reason=error.message)
            return VmInfo(ref, ref, ())
        infos = []
        for disk in description.disks:
            try:
                path = inside(self._folder, disk.file)
                with _open(path, disk) as reader:
                    infos.append(_info(path, disk, reader))
            except RestoriumError as error:
                _log.warning("a VM's disk cannot be used", vm=ref, disk=disk.key, reason=error.message)
        return VmInfo(ref, description.name, tuple(infos))


def _is_description(name: str) -> bool:
    if not name.endswith(SUFFIX) or name.startswith("."):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        _log.warning("a VM's description has a name that is no text", file=ascii(name))
        return False
    return True


def _open(path: Path, disk: DescribedDisk) -> DiskReader:
    reader = open_disk(path, disk.format)
    if disk.size is not None and reader.size < disk.size:
        reader.close()
        raise DiskDamaged(f"{path} holds a disk of {reader.size} bytes, its description says {disk.size}")
    return reader


def _info(path: Path, disk: DescribedDisk, reader: DiskReader) -> DiskInfo:
    return DiskInfo(disk.key, reader.size, disk.format or detect_format(path))


def _settings(description: Description) -> dict[str, Any]:
    """JSON: what the description says besides name and disks, and what each disk says besides its place."""
    return {
        "vm": dict(description.settings),
        "disks": {disk.key: dict(disk.settings) for disk in description.disks if disk.settings},
    }
