"""VMs in the making: written in their vCenter, and at the end Cloud Director's."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.cloud_director.actions import Actions
from restorium.hosts.cloud_director.inventory import Inventory, VmRecord
from restorium.hosts.cloud_director.places import Place, Places
from restorium.hosts.interface import DiskInfo, Host, RestoreTarget
from restorium.vocabulary.errors import HostError


def inner_name(attempt: str) -> str:
    """What a restore's VM is called in the vCenter before Cloud Director takes it over."""
    return f"restorium-{attempt}"


class _InVcenter:
    """inner: the same VM in the making in its vCenter, which does all that has to do with disks."""

    def __init__(self, inner: RestoreTarget, inventory: Inventory, actions: Actions) -> None:
        self._inner = inner
        self._inventory = inventory
        self._actions = actions

    def probe(self) -> None:
        self._inner.probe()

    def free_bytes(self) -> int | None:
        return self._inner.free_bytes()

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        return self._inner.create_disk(disk, extents)

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        return self._inner.reopen_disk(disk)

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return self._inner.read_disk(disk)


class OverOriginal(_InVcenter):
    """The original's disks are replaced in its vCenter; to Cloud Director it stays the VM that it was."""

    def __init__(
        self, inner: RestoreTarget, original: VmRecord, inventory: Inventory, actions: Actions
    ) -> None:
        super().__init__(inner, inventory, actions)
        self._original = original

    def not_carried(self) -> Sequence[str]:
        return self._inner.not_carried()

    def finalise(self, left_out: Collection[str] = ()) -> str:
        """Power the original off where that is known, in Cloud Director, and on again if it could not be replaced."""
        ran = self._inventory.vm(self._original.ref).runs
        if ran:
            self._actions.power_off(self._original.ref)
        try:
            moref = self._inner.finalise(left_out)
        except HostError:
            if ran:
                self._actions.power_on(self._original.ref)
            raise
        if moref != self._original.moref:
            raise HostError(
                f"the vCenter has made {moref} in place of {self._original.moref}, which Cloud Director does not know",
                hint="Import it into the vApp by hand, and restore beside the original next time.",
            )
        return self._original.ref

    def finalised(self) -> str | None:
        return None if self._inner.finalised() is None else self._original.ref

    def discard(self) -> None:
        self._inner.discard()


@dataclass(frozen=True, slots=True)
class Making:
    """A VM that is made anew, by the restore ``attempt``. networks: those of its cards, in order, empty for none."""

    name: str
    attempt: str
    place: Place
    vcenter: str
    networks: Sequence[str]


class TakenOver(_InVcenter):
    """A new VM, which tenants do not see before Cloud Director takes it over under its final name."""

    def __init__(
        self,
        inner: RestoreTarget,
        making: Making,
        inventory: Inventory,
        actions: Actions,
        places: Places,
        vcenter: Host,
        one_at_a_time: threading.Lock,
    ) -> None:
        super().__init__(inner, inventory, actions)
        self._making = making
        self._places = places
        self._one_at_a_time = one_at_a_time
        self._vcenter = vcenter

    def not_carried(self) -> Sequence[str]:
        place = self._making.place
        lost = sorted({each for each in self._making.networks if each and each not in place.known})
        return [
            *self._inner.not_carried(),
            *(
                f"The VDC {place.vdc.name} has no network {each}: cards on it are connected to none."
                for each in lost
            ),
        ]

    def finalise(self, left_out: Collection[str] = ()) -> str:
        making = self._making
        self._taken_over()  # a Cloud Director that is away is noticed before anything is given a name
        moref = self._inner.finalise(left_out)
        vm = self._inventory.vm_of(making.vcenter, moref)
        if vm is None:
            vm = self._take_over(moref)
        self._actions.set_mark(vm.ref, making.attempt)
        self._actions.connect(vm.ref, vm.vapp, making.networks, making.place.known)
        return vm.ref

    def _take_over(self, moref: str) -> VmRecord:
        """By one restore at a time: the VMs of a vApp that is made with the first of them come one after another."""
        making = self._making
        with self._one_at_a_time:
            place = self._places.again(making.place)
            self._places.refuse_taken(place, making.name)
            try:
                self._actions.take_in(making.vcenter, moref, making.name, place)
            except HostError:
                # Another process may have been first to make the vApp.
                found = self._places.again(place)
                if found == place:
                    raise
                place = found
                self._actions.take_in(making.vcenter, moref, making.name, place)
            vm = self._inventory.vm_of(making.vcenter, moref)
            if vm is None:
                raise HostError(f"Cloud Director has taken over {moref} and does not list it")
            if place.vapp is None:
                self._actions.set_mark(vm.vapp, making.attempt)
        return vm

    def finalised(self) -> str | None:
        vm = self._taken_over()
        return None if vm is None else vm.ref

    def discard(self) -> None:
        if self._taken_over() is not None:
            return
        moref = self._inner.finalised()
        if moref is not None:
            self._vcenter.remove_restored(moref, self._making.attempt)
        self._inner.discard()

    def _taken_over(self) -> VmRecord | None:
        moref = self._inner.finalised()
        if moref is None:
            self._inventory.vcenters()
            return None
        return self._inventory.vm_of(self._making.vcenter, moref)
