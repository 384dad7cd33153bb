"""The folder as a host: its VMs, and holding one still."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from restorium.disks import detect_format
from restorium.hosts.image_folder.descriptions import SUFFIX, Description, read_description
from restorium.hosts.image_folder.folder import check_ref, explained, inside
from restorium.hosts.image_folder.opening import described, disk_info, open_image, open_still
from restorium.hosts.image_folder.removal import remove_restored
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.hosts.interface import (
    Chain,
    LocalImage,
    OpenVm,
    RestoreTarget,
    VmDescription,
    VmInfo,
)
from restorium.vocabulary.errors import InvalidInput, RestoriumError, Unsupported, VmNotFound
from restorium.vocabulary.restore import ANYWHERE, Placement

_log = structlog.get_logger(__name__)


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
        description = self.description(ref)
        with ExitStack() as stack:
            readers = [open_still(stack, self._folder, disk) for disk in description.disks]
            infos = tuple(
                disk_info(inside(self._folder, disk.file), disk, reader.size)
                for disk, reader in zip(description.disks, readers, strict=True)
            )
            yield OpenVm(described(description, infos), readers)

    def local_images(self, ref: str) -> list[LocalImage]:
        images = []
        for disk in self.description(ref).disks:
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
        placement: Placement = ANYWHERE,
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

    def description_path(self, ref: str) -> Path:
        """Raises VmNotFound for what cannot name a VM."""
        try:
            return self._folder / f"{check_ref(ref)}{SUFFIX}"
        except InvalidInput as error:
            raise VmNotFound(f"{self._folder} has no VM {ref!r}") from error

    def description(self, ref: str) -> Description:
        """Raises VmNotFound, HostError."""
        return read_description(self.description_path(ref))

    def _listed(self, ref: str) -> VmInfo:
        try:
            description = self.description(ref)
        except RestoriumError as error:
            _log.warning("a VM's description cannot be used", vm=ref, reason=error.message)
            return VmInfo(ref, ref, ())
        infos = []
        for disk in description.disks:
            try:
                path = inside(self._folder, disk.file)
                with open_image(path, disk) as reader:
                    infos.append(disk_info(path, disk, reader.size))
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
