"""A vCenter Server as a host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyVmomi import vim

from restorium.hosts.interface import Chain, LocalImage, Login, OpenVm, RestoreTarget, VmDescription, VmInfo
from restorium.hosts.vsphere import carriers, changes, power
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.describing import describe
from restorium.hosts.vsphere.disks import label, remove_empty_folder, remove_file
from restorium.hosts.vsphere.inventory import (
    check_can_be_read,
    collect,
    datacenter_of,
    disks_of,
    list_vms,
    read,
)
from restorium.hosts.vsphere.opening import opened_disks
from restorium.hosts.vsphere.places import exists, without_files
from restorium.hosts.vsphere.snapshots import held_still
from restorium.hosts.vsphere.target import VsphereTarget, made_by, restored_by
from restorium.vocabulary.errors import Conflict, HostError
from restorium.vocabulary.restore import ANYWHERE, Placement


class Vsphere:
    """``ref`` of a VM is its managed object id, such as vm-42."""

    def __init__(self, address: str, login: Login) -> None:
        self._connection = Connection(address, login)

    def check(self) -> None:
        self._connection.call(lambda content: content.about.fullName)

    def inventory(self) -> list[VmInfo]:
        return [vm for vm in list_vms(self._connection) if not carriers.is_carrier(vm.name)]

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        """The disks as a snapshot holds them."""
        connection = self._connection
        where = self._where(ref)
        name = where["name"]
        if chain is not None:
            changes.switch_on(connection, ref, name)
        with held_still(connection, ref, name, chain.id if chain else None) as snapshot:
            config = read(connection, vim.vm.Snapshot, snapshot, "config")["config"]
            disks = disks_of(config.hardware.device)
            if not disks:
                raise HostError(f"{name} has no disk that is a file")
            for place in disks:
                check_can_be_read(name, place)
            tracked = {}
            if chain is not None:
                for place in disks:
                    since = chain.since.get(place.info.key)
                    tracked[place.info.key] = changes.tracked(connection, ref, snapshot, place, since)
            kept = {key: value for key, value in where.items() if key in ("folder", "pool")}
            kept["datastore"] = disks[0].datastore
            description = describe(name, config, disks, kept)
            with opened_disks(connection, ref, snapshot, where["datacenter"], disks) as readers:
                yield OpenVm(description, readers, tracked)

    def power_on(self, ref: str) -> None:
        power.power_on(self._connection, ref, ref)

    def close(self) -> None:
        self._connection.close()

    def local_images(self, ref: str) -> Sequence[LocalImage] | None:
        self._where(ref)
        return None

    def remove_restored(self, ref: str, attempt: str) -> None:
        """See Host. A ref that no VM has is none to look for: the VM is found by its restore."""
        connection = self._connection
        is_there = exists(connection, ref)
        if is_there and restored_by(connection, ref) != attempt:
            raise Conflict(
                f"{ref} was not made by the restore {attempt}",
                hint="Remove what is left of that restore by hand.",
            )
        made = ref if is_there else made_by(connection, attempt)
        if made is not None:
            self._destroy(made)
        carriers.remove(connection, attempt)
        streamed = without_files(connection)
        for moref, found in list(collect(connection, vim.Datastore, ["name", "summary.accessible"])):
            if found.get("summary.accessible", True) and found["name"] not in streamed:
                datacenter, _ = datacenter_of(connection, vim.Datastore, moref)
                place = connection.object(vim.Datacenter, datacenter)
                remove_file(connection, place, f"[{found['name']}] {label(attempt)}")

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = ANYWHERE,
    ) -> RestoreTarget:
        return VsphereTarget(
            self._connection,
            description,
            attempt=attempt,
            original_ref=original_ref,
            new_name=new_name,
            placement=placement,
        )

    def _destroy(self, ref: str) -> None:
        """A VM with its disks, and the folders that nothing is left in."""
        connection = self._connection
        power.power_off(connection, ref, ref)
        found = read(connection, vim.VirtualMachine, ref, "config.hardware.device")
        disks = disks_of(found.get("config.hardware.device") or ())
        place = connection.object(vim.Datacenter, datacenter_of(connection, vim.VirtualMachine, ref)[0])
        vm = connection.object(vim.VirtualMachine, ref)
        connection.task(lambda _: vm.Destroy_Task(), what=f"removing {ref}")
        for disk in disks:
            remove_empty_folder(connection, place, f"[{disk.datastore}] {disk.path}")

    def _where(self, ref: str) -> dict[str, str]:
        found = read(self._connection, vim.VirtualMachine, ref, "name", "parent", "resourcePool")
        where = {
            "name": found["name"],
            "datacenter": datacenter_of(self._connection, vim.VirtualMachine, ref)[1],
        }
        for key, property_ in (("folder", "parent"), ("pool", "resourcePool")):
            if found.get(property_) is not None:
                where[key] = found[property_]._moId
        return where
