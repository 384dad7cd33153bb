"""What the emulated Cloud Director has: organisations, VDCs, vApps and VMs in front of a vCenter's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4


class Refused(Exception):
    """What Cloud Director answers instead of doing it: an HTTP status, a minor error code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _id() -> str:
    return str(uuid4())


@dataclass
class Card:
    network: str = "none"
    mac: str = "00:50:56:01:02:03"
    model: str = "VMXNET3"
    connected: bool = False


@dataclass
class Vm:
    name: str
    vapp: str
    moref: str
    profile: str
    cards: list[Card]
    status: str = "POWERED_OFF"
    metadata: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=_id)


@dataclass
class Vapp:
    name: str
    vdc: str
    networks: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=_id)


@dataclass
class Named:
    name: str
    parent: str = ""
    id: str = field(default_factory=_id)


class Estate:
    """has: whether the vCenter has a VM of that moref. remove: removes it there, with its disks. power: starts or stops
    it there.
    """

    def __init__(
        self,
        vcenter_url: str,
        has: Callable[[str], bool],
        remove: Callable[[str], None],
        power: Callable[[str, bool], None],
    ) -> None:
        self._has, self._remove, self._power = has, remove, power
        self.vcenter_url = vcenter_url
        self.vcenter = _id()
        self.organisations = [Named("acme")]
        self.vdcs = [Named("acme-vdc", self.organisations[0].id)]
        self.profiles = [Named("bronze", self.vdcs[0].id), Named("gold", self.vdcs[0].id)]
        self.networks = [Named("office", self.vdcs[0].id), Named("lab", self.vdcs[0].id)]
        self.vapps: dict[str, Vapp] = {}
        self.vms: dict[str, Vm] = {}

    def add_vdc(self, name: str) -> Named:
        vdc = Named(name, self.organisations[0].id)
        self.vdcs.append(vdc)
        self.profiles.append(Named("bronze", vdc.id))
        self.networks.append(Named("dmz", vdc.id))
        return vdc

    def vapp_named(self, name: str, vdc: str | None = None) -> Vapp:
        """The vApp of that name, made if it is not there, with the first network of its VDC."""
        vdc = vdc or self.vdcs[0].id
        known = next((each for each in self.vapps.values() if (each.name, each.vdc) == (name, vdc)), None)
        if known is None:
            network = next(each for each in self.networks if each.parent == vdc)
            known = Vapp(name, vdc, {network.name: f"/api/network/{network.id}"})
            self.vapps[known.id] = known
        return known

    def adopt(self, name: str, moref: str, vapp: Vapp) -> Vm:
        vm = Vm(name, vapp.id, moref, self.default_profile(vapp.vdc), [Card(next(iter(vapp.networks)))])
        self.vms[vm.id] = vm
        return vm

    def default_profile(self, vdc: str) -> str:
        return next(each.name for each in self.profiles if each.parent == vdc)

    def inside(self, vapp: Vapp) -> Iterator[Vm]:
        return (vm for vm in self.vms.values() if vm.vapp == vapp.id)

    def take_in(self, moref: str, name: str, vapp: Vapp, profile: str | None) -> Vm:
        if not self._has(moref):
            raise Refused(400, "BAD_REQUEST", f"There is no virtual machine {moref} in the vCenter.")
        if any(vm.moref == moref for vm in self.vms.values()):
            raise Refused(400, "BAD_REQUEST", f"The virtual machine {moref} is managed already.")
        if any(vm.name == name for vm in self.inside(vapp)):
            raise Refused(400, "DUPLICATE_NAME", f"The name {name} is used already in the vApp.")
        vm = self.adopt(name, moref, vapp)
        vm.cards[0].network = "none"
        vm.profile = profile or self.default_profile(vapp.vdc)
        return vm

    def power(self, vm: Vm, *, on: bool) -> None:
        self._power(vm.moref, on)
        vm.status = "POWERED_ON" if on else "POWERED_OFF"

    def remove_vm(self, vm: Vm) -> None:
        if vm.status == "POWERED_ON":
            raise Refused(
                400, "BAD_REQUEST", f"The virtual machine {vm.name} is running and must be stopped."
            )
        del self.vms[vm.id]
        self._remove(vm.moref)

    def remove_vapp(self, vapp: Vapp) -> None:
        for vm in list(self.inside(vapp)):
            self.remove_vm(vm)
        del self.vapps[vapp.id]
