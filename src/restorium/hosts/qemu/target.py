"""Restoring: images and a description as in an image folder, and the original powered off when they take its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.disks.qcow2.header import SECTOR
from restorium.hosts.image_folder.opening import KIND as FOLDER_KIND
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.qemu.machine import USER_NETWORK
from restorium.hosts.qemu.vm import QMP_MEMBER, Vm

KIND = "qemu"


class QemuTarget:
    """See RestoreTarget. original: the VM to be replaced if there is one."""

    def __init__(
        self,
        folder: Path,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        original: Vm | None,
    ) -> None:
        self._description = description
        self._original = original
        self._converts = description.kind != KIND
        disks = tuple(self._kept(disk) for disk in description.disks)
        self._images = ImageFolderTarget(
            folder,
            _as_in_folder(replace(description, disks=disks), original),
            attempt=attempt,
            original_ref=original_ref,
            new_name=new_name,
            may_run=original is not None and original.runs(),
        )

    def probe(self) -> None:
        self._images.probe()

    def not_carried(self) -> Sequence[str]:
        if not self._converts:
            return ()
        networks = {nic.network for nic in self._description.hardware.nics} - {USER_NETWORK}
        return [
            f"A network card on {'no network' if network is None else f'the network {network}'} has no cable "
            f"under QEMU: the only network that Restorium connects is {USER_NETWORK!r}."
            for network in sorted(networks, key=str)
        ]

    def free_bytes(self) -> int | None:
        return self._images.free_bytes()

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        return self._images.create_disk(self._kept(disk), extents)

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        return self._images.reopen_disk(self._kept(disk))

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return self._images.read_disk(self._kept(disk))

    def finalise(self, left_out: Collection[str] = ()) -> str:
        """The original loses its power here, and nothing else can fail before."""
        if self._original is not None and self._images.finalised() is None:
            self._images.check_written(left_out)
            self._original.quit()
        return self._images.finalise(left_out)

    def finalised(self) -> str | None:
        return self._images.finalised()

    def discard(self) -> None:
        self._images.discard()

    def _kept(self, disk: DiskInfo) -> DiskInfo:
        """The disk as it is made here: of another kind of host as qcow2, which keeps a list of changes."""
        if self._converts and disk.size % SECTOR == 0:
            return replace(disk, format="qcow2")
        return disk


def _as_in_folder(description: VmDescription, original: Vm | None) -> VmDescription:
    """For an image folder. A QMP socket is a place, and stays with the VM that has it."""
    if description.kind not in (KIND, FOLDER_KIND):
        return description
    told = description.settings.get("vm")
    of_vm: dict[str, Any] = dict(told) if isinstance(told, Mapping) else {}
    of_vm.pop(QMP_MEMBER, None)
    if original is not None and QMP_MEMBER in original.description.settings:
        of_vm[QMP_MEMBER] = original.description.settings[QMP_MEMBER]
    return replace(description, kind=FOLDER_KIND, settings={**description.settings, "vm": of_vm})
