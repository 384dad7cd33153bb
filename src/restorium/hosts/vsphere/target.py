"""Restoring to a vCenter Server.

Disks are written where no VM has them until the end, as their datastore takes them. Beside the original, a VM is made
of them then. Over it, one reconfiguration takes the old disks out and the new ones in, and notes the old ones, which
are removed after it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pyVmomi import vim

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.vsphere import places
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.describing import ATTEMPT, KIND, REPLACED, Made
from restorium.hosts.vsphere.disks import DisksInTheMaking, kib, remove_disk, remove_empty_folder
from restorium.hosts.vsphere.imports import ImportedDisks
from restorium.hosts.vsphere.inventory import collect, disks_of, extra, read, read_extra
from restorium.hosts.vsphere.power import power_off
from restorium.hosts.vsphere.uploads import UploadedDisks
from restorium.vocabulary.errors import HostError, InvalidInput, TargetExists
from restorium.vocabulary.restore import Placement

_MOST_CHARACTERS = 80


class VsphereTarget:
    """See RestoreTarget. An upload cannot be gone on with, so ``reopen_disk`` finds nothing."""

    def __init__(
        self,
        connection: Connection,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement,
    ) -> None:
        self._connection = connection
        self._description = description
        self._attempt = attempt
        self._placement = placement
        self._name = description.name if new_name is None else _checked(new_name)
        self._original = None
        if new_name is None and description.kind == KIND and places.exists(connection, original_ref):
            self._original = original_ref
        if self.finalised() is None:
            self._check_name()

    def probe(self) -> None:
        if self._original is not None:
            found = read(self._connection, vim.VirtualMachine, self._original, "snapshot")
            if found.get("snapshot"):
                raise HostError(
                    f"{self._name} has snapshots, and their disks cannot be replaced",
                    hint="Remove its snapshots, or restore beside it.",
                )
        self._disks.probe()

    def not_carried(self) -> Sequence[str]:
        return () if self._original is not None else self._made({}).not_carried

    def free_bytes(self) -> int | None:
        found = read(self._connection, vim.Datastore, self._places.datastore_ref, "summary.freeSpace")
        return found.get("summary.freeSpace")

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        return self._disks.create(self._number(disk), disk, extents)

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        return None

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return self._disks.open(self._number(disk), disk)

    def finalise(self, left_out: Collection[str] = ()) -> str:
        ref = self.finalised()
        if ref is None:
            kept = [disk for disk in self._description.disks if disk.key not in left_out]
            for disk in kept:
                self._check_written(disk)
            if self._original is not None:
                if left_out:
                    raise InvalidInput(f"{self._name} cannot be replaced by a part of it")
                ref = self._replace(self._handed_over(kept))
            else:
                ref = self._make(self._handed_over(kept))
        self._tidy(ref)
        return ref

    def finalised(self) -> str | None:
        if self._original is not None:
            return (
                self._original
                if read_extra(self._connection, self._original, ATTEMPT) == self._attempt
                else None
            )
        return made_by(self._connection, self._attempt)

    def discard(self) -> None:
        ref = self.finalised()
        if ref is None:
            self._disks.remove()
        else:
            self._tidy(ref)

    def _make(self, files: dict[str, str]) -> str:
        self._check_name()
        spec = self._made(files).spec
        spec.files = vim.vm.FileInfo(vmPathName=self._disks.vmx(self._name))
        spec.instanceUuid = _uuid_of(self._attempt)
        spec.extraConfig = extra({ATTEMPT: self._attempt})
        folder = self._connection.object(vim.Folder, self._places.folder)
        pool = self._connection.object(vim.ResourcePool, self._places.pool)
        made = self._connection.task(
            lambda _: folder.CreateVM_Task(config=spec, pool=pool), what=f"making the VM {self._name}"
        )
        return str(made._moId)

    def _replace(self, files: dict[str, str]) -> str:
        assert self._original is not None
        power_off(self._connection, self._original, self._name)
        found = read(self._connection, vim.VirtualMachine, self._original, "config")["config"]
        old = disks_of(found.hardware.device)
        slots = {place.info.key: place.device for place in old}
        changes = [vim.vm.device.VirtualDeviceSpec(operation="remove", device=place.device) for place in old]
        for disk in self._description.disks:
            slot = slots.get(disk.key)
            if slot is None:
                raise HostError(
                    f"{self._name} has no disk {disk.key} any more",
                    hint="Restore beside it, under a new name.",
                )
            new = vim.vm.device.VirtualDisk(
                key=slot.key,
                controllerKey=slot.controllerKey,
                unitNumber=slot.unitNumber,
                capacityInKB=kib(disk.size),
                backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                    fileName=files[disk.key], diskMode="persistent", thinProvisioned=True
                ),
            )
            changes.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=new))
        hardware = self._description.hardware
        spec = vim.vm.ConfigSpec(
            memoryMB=hardware.memory_mib,
            numCPUs=hardware.cpus,
            deviceChange=changes,
            extraConfig=extra(
                {
                    ATTEMPT: self._attempt,
                    REPLACED: json.dumps([f"[{place.datastore}] {place.path}" for place in old]),
                }
            ),
        )
        self._reconfigure(self._original, spec, f"giving {self._name} its restored disks")
        return self._original

    def _tidy(self, ref: str) -> None:
        """Remove the disks that were replaced, and what carried the new ones."""
        self._disks.tidy()
        noted = read_extra(self._connection, ref, REPLACED)
        if not noted:
            return
        for file in json.loads(noted):
            remove_disk(self._connection, self._datacenter, file)
            remove_empty_folder(self._connection, self._datacenter, file)
        cleared = vim.vm.ConfigSpec(extraConfig=extra({REPLACED: ""}))
        self._reconfigure(ref, cleared, f"noting that the old disks of {self._name} are gone")

    def _reconfigure(self, ref: str, spec: Any, what: str) -> None:
        vm = self._connection.object(vim.VirtualMachine, ref)
        self._connection.task(lambda _: vm.ReconfigVM_Task(spec=spec), what=what)

    def _made(self, files: dict[str, str]) -> Made:
        everything = files or {disk.key: "" for disk in self._description.disks}
        return Made(
            self._description, self._name, everything, self._places.networks, self._placement.networks
        )

    def _check_name(self) -> None:
        """Raises TargetExists if a VM has the name, or took it meanwhile."""
        if self._original is not None:
            return
        for ref, found in collect(self._connection, vim.VirtualMachine, ["name"]):
            if found["name"] == self._name:
                raise TargetExists(f"{self._connection.address.host} has a VM {self._name!r} already: {ref}")

    def _check_written(self, disk: DiskInfo) -> None:
        try:
            self._disks.check_written(self._number(disk), disk)
        except HostError as error:
            raise HostError(
                f"disk {disk.key!r} of {self._name} was not written: {error.message}", hint="Restore again."
            ) from error

    def _handed_over(self, disks: Sequence[DiskInfo]) -> dict[str, str]:
        """The files of the disks, by key."""
        numbers = {self._number(disk): disk.key for disk in disks}
        return {numbers[number]: file for number, file in self._disks.hand_over(numbers).items()}

    def _number(self, disk: DiskInfo) -> int:
        return next(number for number, each in enumerate(self._description.disks) if each.key == disk.key)

    @cached_property
    def _places(self) -> places.Places:
        return places.find(self._connection, self._description, self._original, self._placement)

    @cached_property
    def _disks(self) -> DisksInTheMaking:
        kind = UploadedDisks if self._places.takes_files else ImportedDisks
        return kind(self._connection, self._places, self._attempt)

    @property
    def _datacenter(self) -> Any:
        return self._connection.object(vim.Datacenter, self._places.datacenter)


def made_by(connection: Connection, attempt: str) -> str | None:
    """The moref of the VM that the restore made beside the original."""
    found = connection.call(
        lambda content: content.searchIndex.FindByUuid(
            uuid=_uuid_of(attempt), vmSearch=True, instanceUuid=True
        )
    )
    return None if found is None else str(found._moId)


def _uuid_of(attempt: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"restorium:{attempt}"))


def restored_by(connection: Connection, ref: str) -> str | None:
    """The restore that made the VM, or gave it its disks. Raises VmNotFound."""
    return read_extra(connection, ref, ATTEMPT)


def _checked(name: str) -> str:
    if not name.strip() or name != name.strip() or len(name) > _MOST_CHARACTERS or set(name) & set("/\\%"):
        raise InvalidInput(
            f"{name!r} cannot be the name of a VM",
            hint=f"Write up to {_MOST_CHARACTERS} characters, none of / \\ %.",
        )
    if not name.isprintable():
        raise InvalidInput("the name of a VM has characters that cannot be shown", hint="Leave them out.")
    return name
