"""A VM's configuration as a description, and a description as a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from restorium.hosts.interface import Firmware, VmDescription
from restorium.hosts.vsphere.disks import kib
from restorium.hosts.vsphere.inventory import DiskPlace, hardware_of

KIND = "vsphere"
ATTEMPT = "restorium.attempt"
"""Extra configuration that names the restore which made the VM, or gave it the disks that it has."""
REPLACED = "restorium.replaced"
"""Extra configuration that names the disks which that restore replaced, as long as they are not removed."""

_MEMORY_MIB, _CPUS, _GUEST = 1024, 1, "otherGuest64"
_CONTROLLERS = {
    "ide": "VirtualIDEController",
    "sata": "VirtualAHCIController",
    "scsi": "VirtualLsiLogicSASController",
    "nvme": "VirtualNVMEController",
}
_UNITS = {"ide": 2, "sata": 30, "scsi": 15, "nvme": 15}
_SCSI_ITSELF = 7
_FIRST_IDE_KEY = 200
_FIRMWARE = {Firmware.BIOS: "bios", Firmware.UEFI: "efi"}
_CARDS = {
    name.lower(): f"Virtual{name}"
    for name in ("E1000", "E1000e", "Vmxnet2", "Vmxnet3", "PCNet32", "SriovEthernetCard")
}
_CARD = "VirtualE1000e"


def describe(name: str, config: Any, places: Sequence[DiskPlace], where: Mapping[str, str]) -> VmDescription:
    """where: morefs of ``folder`` and ``pool``, and the name of the ``datastore``."""
    settings = {
        "guest": config.guestId,
        "version": config.version,
        "annotation": config.annotation,
        "controllers": {place.info.key: place.controller for place in places},
        **where,
    }
    return VmDescription(name, tuple(place.info for place in places), settings, KIND, hardware_of(config))


class Made:
    """The configuration of a VM to be made. files: of the disks, by key. networks: those that can be connected to.

    not_carried: what of the description it has not.
    """

    def __init__(
        self,
        description: VmDescription,
        name: str,
        files: Mapping[str, str],
        networks: Sequence[str],
        chosen: Mapping[str, str],
    ) -> None:
        self.not_carried: list[str] = []
        self._description = description
        self._own: Mapping[str, Any] = description.settings if description.kind == KIND else {}
        self._networks = networks
        self._chosen = chosen
        hardware = description.hardware
        devices = [*self._disks(files), *self._cards()]
        if hardware.memory_mib is None or hardware.cpus is None:
            self.not_carried.append(
                f"The restore point does not say how much memory or how many processors the VM had; it gets "
                f"{hardware.memory_mib or _MEMORY_MIB} MiB and {hardware.cpus or _CPUS}."
            )
        self.spec = vim.vm.ConfigSpec(
            name=name,
            guestId=self._own.get("guest") or _GUEST,
            annotation=self._own.get("annotation") or None,
            version=self._own.get("version") or None,
            memoryMB=hardware.memory_mib or _MEMORY_MIB,
            numCPUs=hardware.cpus or _CPUS,
            firmware=_FIRMWARE[hardware.firmware or Firmware.BIOS],
            deviceChange=devices,
        )

    def _disks(self, files: Mapping[str, str]) -> list[Any]:
        changes: list[Any] = []
        controllers: dict[tuple[str, int], int] = {}
        taken: dict[str, int] = {}
        for disk in self._description.disks:
            if disk.key not in files:
                continue
            bus = self._bus(disk.key)
            number, unit = self._slot(disk.key, bus, taken)
            if (bus, number) not in controllers:
                key = _FIRST_IDE_KEY + number if bus == "ide" else -(len(controllers) + 1) * 100
                controllers[bus, number] = key
                kind = self._own.get("controllers", {}).get(disk.key) or _CONTROLLERS[bus]
                changes.append(_added(_controller(kind, key, number)))
            backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName=files[disk.key], diskMode="persistent", thinProvisioned=True
            )
            changes.append(
                _added(
                    vim.vm.device.VirtualDisk(
                        key=-1000 - len(changes),
                        controllerKey=controllers[bus, number],
                        unitNumber=unit,
                        capacityInKB=kib(disk.size),
                        backing=backing,
                    )
                )
            )
        return changes

    def _bus(self, key: str) -> str:
        bus = self._description.hardware.buses.get(key, "scsi")
        if bus in _CONTROLLERS:
            return bus
        self.not_carried.append(f"Disk {key} was on a {bus} controller and comes to a SCSI controller.")
        return "scsi"

    def _slot(self, key: str, bus: str, taken: dict[str, int]) -> tuple[int, int]:
        """Controller and unit: the ones it had, or the next that are free."""
        if self._own and key.startswith(bus):
            had = key.removeprefix(bus).partition(":")
            return int(had[0]), int(had[2])
        place = taken.get(bus, 0)
        taken[bus] = place + 1
        number, unit = divmod(place, _UNITS[bus])
        return number, unit + (bus == "scsi" and unit >= _SCSI_ITSELF)

    def _cards(self) -> list[Any]:
        changes = []
        for number, nic in enumerate(self._description.hardware.nics):
            asked = self._chosen.get(nic.network or "", nic.network)
            network = asked if asked in self._networks else next(iter(self._networks), None)
            if network is None:
                self.not_carried.append("The VM's network cards are left out: there is no network.")
                break
            if network != nic.network:
                self.not_carried.append(
                    f"The card on network {nic.network} is connected to network {network}."
                )
            kind = _CARDS.get(nic.model or "", _CARD)
            card = getattr(vim.vm.device, kind)(
                key=-5000 - number,
                backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network),
                connectable=vim.vm.device.VirtualDevice.ConnectInfo(
                    startConnected=True, allowGuestControl=True, connected=True
                ),
                addressType="generated",
            )
            changes.append(_added(card))
        return changes


def _controller(kind: str, key: int, number: int) -> Any:
    made: Any = getattr(vim.vm.device, kind)(key=key, busNumber=number)
    if isinstance(made, vim.vm.device.VirtualSCSIController):
        made.sharedBus = vim.vm.device.VirtualSCSIController.Sharing.noSharing
    return made


def _added(device: Any) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
