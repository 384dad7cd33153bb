"""Giving a VM on a host its hardware: what a description says, or sensible defaults for one of another platform."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restorium.hosts.hyperv import changing, pipelines
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.machines import KIND
from restorium.hosts.interface import Firmware, Hardware, VmDescription

_MIB = 1 << 20
_DEFAULT_MEMORY_MIB = 2048
_LEAST_MEMORY_MIB = 32
_IDE_PLACES = ((0, 0), (0, 1), (1, 1))
"""1:0 is the DVD drive that a VM of generation 1 is made with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a disk is attached."""

    bus: str
    number: int
    location: int


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A VM to make. settings: as ``read_settings`` gives them; places: by the disk's key."""

    settings: Mapping[str, Any]
    places: Mapping[str, Place]
    told: Sequence[str]
    """What of the description is not in it, each a sentence."""


def blueprint(
    description: VmDescription, switches: Collection[str], networks: Mapping[str, str]
) -> Blueprint:
    """switches: those of the host. networks: by the name in the description, the switch to connect to."""
    told: list[str] = []
    if description.kind == KIND:
        settings = dict(description.settings)
        places = {disk.key: _parsed(disk.key) for disk in description.disks}
    else:
        settings, told = _foreign(description.hardware)
        places = _foreign_places(description, settings["Generation"])
        told += [
            f"Disk {disk.key} had the controller {was} and has {places[disk.key].bus.upper()} now."
            for disk in description.disks
            if (was := description.hardware.buses.get(disk.key)) not in (None, places[disk.key].bus)
        ]
    adapters = []
    for nic in settings.get("NetworkAdapters") or ():
        name = nic["SwitchName"]
        switch = networks.get(name, name) if name else None
        if switch is not None and switch not in switches:
            told.append(f"A network adapter is not connected: the host has no virtual switch {switch!r}.")
            switch = None
        adapters.append({**nic, "SwitchName": switch})
    return Blueprint(settings | {"NetworkAdapters": adapters}, places, told)


def make(connection: Connection, name: str, folder: str, plan: Blueprint) -> str:
    """A VM without disks, off; gives its ref."""
    memory, generation = int(plan.settings["MemoryStartup"]), int(plan.settings["Generation"])
    found = connection.ask_one(changing.new_vm(name, generation, memory, folder))
    return str(found["Id"]).lower()


def equip(
    connection: Connection,
    ref: str,
    settings: Mapping[str, Any],
    drives: Iterable[tuple[Place, str]],
    *,
    keep_macs: bool,
) -> None:
    """The memory, processors, adapters and disks that a VM is to have, in place of those that it has.

    drives: places and paths. keep_macs: beside its original a VM must not have the same addresses. Adapters that are
    as they are to be stay, for what else is set of them, as a VLAN, is in no description.
    """
    connection.ask(changing.set_vm(ref, "set memory and processors", **_memory(settings)))
    connection.ask(changing.remove_drives(ref))
    attached = list(drives)
    for _ in range(
        max((place.number for place, _ in attached if place.bus == "scsi"), default=0)
        - _scsi(connection, ref)
    ):
        connection.ask(changing.add_scsi_controller(ref))
    for place, path in attached:
        connection.ask(changing.add_drive(ref, place.bus, place.number, place.location, path))
    wanted = settings["NetworkAdapters"]
    if not keep_macs or [_identity(nic) for nic in connection.ask(pipelines.nics(ref))] != [
        _identity(nic) for nic in wanted
    ]:
        connection.ask(changing.remove_nics(ref))
        for nic in wanted:
            connection.ask(changing.add_nic(ref, **_adapter(nic, keep_mac=keep_macs)))
    if settings["Generation"] == 2:
        if settings.get("Firmware"):
            connection.ask(changing.set_firmware(ref, _firmware(settings["Firmware"])))
        if attached:
            first = attached[0][0]
            connection.ask(changing.boot_from(ref, first.number, first.location))


def _scsi(connection: Connection, ref: str) -> int:
    """The highest number of its SCSI controllers; every VM has the first."""
    return max(
        (int(found["ControllerNumber"]) for found in connection.ask(pipelines.scsi_controllers(ref))),
        default=0,
    )


def _memory(settings: Mapping[str, Any]) -> dict[str, Any]:
    members = {
        "ProcessorCount": settings["ProcessorCount"],
        "MemoryStartupBytes": settings["MemoryStartup"],
    }
    if settings.get("DynamicMemoryEnabled"):
        return members | {
            "DynamicMemory": True,
            "MemoryMinimumBytes": settings["MemoryMinimum"],
            "MemoryMaximumBytes": settings["MemoryMaximum"],
        }
    return members | {"StaticMemory": True}


def _adapter(nic: Mapping[str, Any], *, keep_mac: bool) -> dict[str, Any]:
    members = {"Name": nic["Name"], "SwitchName": nic["SwitchName"]}
    if keep_mac and not nic["DynamicMacAddressEnabled"]:
        members["StaticMacAddress"] = nic["MacAddress"]
    if nic["IsLegacy"]:
        members["IsLegacy"] = True
    return members


def _identity(nic: Mapping[str, Any]) -> tuple[Any, ...]:
    """An address that the host gives out may be another one after each start."""
    is_dynamic = nic["DynamicMacAddressEnabled"]
    return nic["Name"], is_dynamic or nic["MacAddress"], nic["SwitchName"], nic["IsLegacy"]


def _firmware(found: Mapping[str, Any]) -> dict[str, Any]:
    """On is 0 in Microsoft.HyperV.PowerShell.OnOffState."""
    is_on = found["SecureBoot"] == 0
    members: dict[str, Any] = {"EnableSecureBoot": "On" if is_on else "Off"}
    if is_on and found.get("SecureBootTemplate"):
        members["SecureBootTemplate"] = found["SecureBootTemplate"]
    return members


def _parsed(key: str) -> Place:
    bus, number, location = key.rsplit("-", 2)
    return Place(bus, int(number), int(location))


def _foreign(hardware: Hardware) -> tuple[dict[str, Any], list[str]]:
    told = []
    memory = hardware.memory_mib or _DEFAULT_MEMORY_MIB
    if hardware.memory_mib is None:
        told.append(f"Its memory is unknown; the VM has {_DEFAULT_MEMORY_MIB} MiB.")
    if hardware.firmware is None:
        told.append("Its firmware is unknown; the VM starts with BIOS (generation 1).")
    is_uefi = hardware.firmware is Firmware.UEFI
    settings: dict[str, Any] = {
        "Generation": 2 if is_uefi else 1,
        "Notes": "",
        "ProcessorCount": hardware.cpus or 1,
        "MemoryStartup": max(memory + memory % 2, _LEAST_MEMORY_MIB) * _MIB,
        "DynamicMemoryEnabled": False,
        "NetworkAdapters": [
            {
                "Name": f"Network Adapter {number}",
                "MacAddress": nic.mac and nic.mac.replace(":", "").upper(),
                "DynamicMacAddressEnabled": nic.mac is None,
                "SwitchName": nic.network,
                "IsLegacy": False,
            }
            for number, nic in enumerate(hardware.nics, 1)
        ],
    }
    if is_uefi:
        settings["Firmware"] = {"SecureBoot": 1, "SecureBootTemplate": None}
    return settings, told


def _foreign_places(description: VmDescription, generation: int) -> dict[str, Place]:
    """A VM of generation 1 starts from IDE only."""
    free = list(_IDE_PLACES) if generation == 1 else []
    places = {}
    for number, disk in enumerate(description.disks):
        wants_ide = number == 0 or description.hardware.buses.get(disk.key) == "ide"
        places[disk.key] = Place("ide", *free.pop(0)) if free and wants_ide else Place("scsi", 0, number)
    return places
