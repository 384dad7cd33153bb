"""Restoring to a host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import PureWindowsPath

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.disks.vhdx import check_vhdx_size, make_vhdx, read_vhdx, resume_vhdx
from restorium.hosts.hyperv import building, changing, pipelines
from restorium.hosts.hyperv.checkpoints import remove_leftovers
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.files import Volumes
from restorium.hosts.hyperv.machines import (
    OFF,
    RUNNING,
    Machine,
    check_ref,
    drives,
    machine,
    machines,
    marked,
    read_settings,
)
from restorium.hosts.hyperv.names import LONGEST_NAME, disk_files, folder_of, temporary_name
from restorium.hosts.hyperv.plans import Original
from restorium.hosts.hyperv.removal import remove_empty, remove_folder
from restorium.hosts.image_folder.folder import check_attempt
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.names import check_name
from restorium.vocabulary.errors import (
    DiskDamaged,
    DiskMissing,
    HostError,
    InvalidInput,
    TargetExists,
    VmNotFound,
)
from restorium.vocabulary.restore import Placement


class HyperVTarget:
    """A VM being restored. See RestoreTarget; the package says what a crash leaves.

    base: the folder on the host in which the restore gets one of its own.
    """

    def __init__(
        self,
        connection: Connection,
        volumes: Volumes,
        base: str,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement,
    ) -> None:
        self._connection = connection
        self._volumes = volumes
        self._base = base
        self._description = description
        self._attempt = check_attempt(attempt)
        self._networks = placement.networks
        self._folder = folder_of(base, attempt)
        self._original = None if new_name is not None else _found(connection, original_ref)
        self._name = description.name
        if new_name is not None:
            self._name = check_name(new_name, of="a Hyper-V VM", characters=LONGEST_NAME)
        self._files = disk_files(self._name, description)
        if self._original is None:
            self._check_name_is_free()

    def probe(self) -> None:
        path = f"{self._folder}.probe"
        self._volumes.new(path).close()
        self._connection.ask(changing.remove_path(path))

    def not_carried(self) -> Sequence[str]:
        return self._blueprint.told

    def free_bytes(self) -> int | None:
        return int(self._connection.ask_one(pipelines.volume(self._base))["SizeRemaining"])

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        path = self._path(disk)
        check_vhdx_size(PureWindowsPath(path), disk.size)
        self._go_back()
        self._connection.ask(changing.make_folder(self._folder))
        return make_vhdx(self._volumes.new(path), disk.size, extents)

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        try:
            return resume_vhdx(self._volumes.reopen(self._path(disk)), disk.size)
        except (DiskMissing, DiskDamaged):
            return None

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return read_vhdx(self._volumes.open(self._path(disk)))

    def finalise(self, left_out: Collection[str] = ()) -> str:
        ref = self.finalised()
        if ref is None:
            if left_out and self._original is not None:
                raise InvalidInput(f"{self._name} cannot be replaced by a part of it")
            made = [disk for disk in self._description.disks if disk.key not in left_out]
            self._check_written(made)
            attached = [(self._blueprint.places[disk.key], self._path(disk)) for disk in made]
            original = self._original
            ref = self._make(attached, left_out) if original is None else self._exchange(original, attached)
        self._tidy(left_out)
        return ref

    def finalised(self) -> str | None:
        found = self._mine()
        return None if found is None else found.ref

    def discard(self) -> None:
        if self.finalised() is not None:
            self._tidy(())
            return
        self._go_back()
        self._remove_unfinished()
        remove_folder(self._connection, self._folder)

    def _make(self, attached: Sequence[tuple[building.Place, str]], left_out: Collection[str]) -> str:
        """A VM beside others: under a temporary name until it is as it is to be."""
        self._check_name_is_free()
        self._remove_unfinished()
        plan = self._blueprint
        ref = building.make(self._connection, temporary_name(self._attempt), self._folder, plan)
        building.equip(self._connection, ref, plan.settings, attached, keep_macs=False)
        notes = str(plan.settings.get("Notes") or "")
        if left_out:
            missing = ", ".join(sorted(left_out))
            notes += f"\nMade without disks that could not be restored: {missing}"
        self._check_name_is_free()
        self._connection.ask(
            changing.set_vm(
                ref, "give the VM its name", NewVMName=self._name, Notes=marked(notes.strip(), self._attempt)
            )
        )
        return ref

    def _exchange(self, vm: Machine, attached: Sequence[tuple[building.Place, str]]) -> str:
        """The original's disks and hardware for those of the restore point; its files go when all is done."""
        remove_leftovers(self._connection, vm.ref)
        original = Original.read(self._volumes, self._plan_path)
        if original is None:
            places = drives(self._connection.ask(pipelines.drives(vm.ref)))
            original = Original(
                vm.ref,
                machine(self._connection, vm.ref).state,
                read_settings(self._connection, vm),
                [(drive.bus, drive.number, drive.location, drive.path) for drive in places],
            )
            original.write(self._volumes, self._plan_path)
        self._turn_off(vm.ref)
        settings = {**self._blueprint.settings, "Generation": vm.generation}
        building.equip(self._connection, vm.ref, settings, attached, keep_macs=True)
        notes = marked(str(settings.get("Notes") or ""), self._attempt)
        self._connection.ask(changing.set_vm(vm.ref, "mark the VM as restored", Notes=notes))
        return vm.ref

    def _go_back(self) -> None:
        """Give an original that is partly exchanged back what it had."""
        if self._original is None or self.finalised() is not None:
            return
        original = Original.read(self._volumes, self._plan_path)
        if original is None:
            return
        self._turn_off(original.ref)
        building.equip(self._connection, original.ref, original.settings, original.drives, keep_macs=True)
        if original.state == RUNNING:
            self._connection.ask(changing.start(original.ref))
        self._connection.ask(changing.remove_path(self._plan_path))

    def _tidy(self, left_out: Collection[str]) -> None:
        """Remove what a restore that is done replaced. The plan goes last: while it is there, the rest can be found."""
        for disk in self._description.disks:
            if disk.key in left_out:
                self._connection.ask(changing.remove_path(self._path(disk)))
        original = Original.read(self._volumes, self._plan_path) if self._original is not None else None
        if original is None:
            return
        used = {
            str(found["Path"]).lower()
            for pipeline in (pipelines.drives(), pipelines.drives_of_checkpoints(original.ref))
            for found in self._connection.ask(pipeline)
        }
        for _, path in original.drives:
            if path.lower() not in used:
                self._connection.ask(changing.remove_path(path))
                remove_empty(self._connection, str(PureWindowsPath(path).parent))
        self._connection.ask(changing.remove_path(self._plan_path))

    def _turn_off(self, ref: str) -> None:
        if machine(self._connection, ref).state != OFF:
            self._connection.ask(changing.turn_off(ref))

    def _remove_unfinished(self) -> None:
        for found in machines(self._connection):
            if found.name == temporary_name(self._attempt):
                self._connection.ask(changing.remove_vm(found.ref))

    def _check_written(self, disks: Sequence[DiskInfo]) -> None:
        for disk in disks:
            writer = self.reopen_disk(disk)
            if writer is None:
                raise HostError(f"disk {disk.key!r} of {self._name} was not written", hint="Restore again.")
            writer.close()

    def _check_name_is_free(self) -> None:
        """Hyper-V would take two VMs of one name; people would not know which is which."""
        for found in machines(self._connection):
            if found.name.lower() == self._name.lower() and found.restored_by != self._attempt:
                raise TargetExists(f"the host has a VM {found.name} already")

    def _mine(self) -> Machine | None:
        """The VM that this restore has finalised."""
        if self._original is not None:
            vm = _found(self._connection, self._original.ref)
            return vm if vm is not None and vm.restored_by == self._attempt else None
        return next((each for each in machines(self._connection) if each.restored_by == self._attempt), None)

    def _path(self, disk: DiskInfo) -> str:
        if disk.key not in self._files:
            raise InvalidInput(f"{self._name!r} has no disk {disk.key!r}")
        return str(PureWindowsPath(self._folder) / self._files[disk.key])

    @property
    def _plan_path(self) -> str:
        return str(PureWindowsPath(self._folder) / "plan.json")

    @cached_property
    def _blueprint(self) -> building.Blueprint:
        switches = {str(found["Name"]) for found in self._connection.ask(pipelines.switches())}
        return building.blueprint(self._description, switches, self._networks)


def _found(connection: Connection, ref: str) -> Machine | None:
    try:
        return machine(connection, check_ref(ref))
    except VmNotFound:
        return None
