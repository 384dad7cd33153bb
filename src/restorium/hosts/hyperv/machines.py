"""The VMs of a host, out of what its cmdlets tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from restorium.hosts.hyperv import pipelines
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.interface import Firmware, Hardware, Nic
from restorium.vocabulary.errors import Unsupported, VmNotFound

KIND = "hyperv"
FORMAT = "vhdx"
RUNNING, OFF = 2, 3
"""Of Microsoft.HyperV.PowerShell.VMState."""

_BUSES = {0: "ide", 1: "scsi"}
"""By Microsoft.HyperV.PowerShell.ControllerType."""
_MARK = re.compile(r"(?:^|\n)Restored by Restorium: ([A-Za-z0-9-]{1,64})\s*\Z")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk in its place. id: the host's own name of the place. path: of the file, on the host."""

    id: str
    path: str
    bus: str
    number: int
    location: int

    @property
    def key(self) -> str:
        return f"{self.bus}-{self.number}-{self.location}"


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM as Get-VM tells of it. notes: without the mark of a restore; restored_by: the attempt that it names."""

    ref: str
    name: str
    state: int
    generation: int
    notes: str
    restored_by: str | None
    members: Mapping[str, Any]


def check_ref(ref: str) -> str:
    """Raises VmNotFound unless it can be the Id of a VM."""
    try:
        if len(ref) != 36:
            raise ValueError(ref)
        return str(UUID(ref))
    except ValueError as error:
        raise VmNotFound(f"{ref[:80]!r} is no VM of a Hyper-V host") from error


def machines(connection: Connection) -> list[Machine]:
    return [_machine(found) for found in connection.ask(pipelines.vms())]


def machine(connection: Connection, ref: str) -> Machine:
    """Raises VmNotFound."""
    found = connection.ask(pipelines.vms(check_ref(ref)))
    if not found:
        raise VmNotFound(f"the host has no VM {ref}")
    return _machine(found[0])


def drives(found: Iterable[Mapping[str, Any]]) -> list[Drive]:
    """In the order of their places. Raises Unsupported for physical disks."""
    made = []
    for each in found:
        if each.get("DiskNumber") is not None:
            raise Unsupported(
                f"the VM has the physical disk {each['DiskNumber']} of its host, which cannot be backed up",
                hint="Back it up inside the guest, or move its content to a virtual disk.",
            )
        if each["Path"]:  # a drive may be empty
            bus = _BUSES.get(each["ControllerType"], "scsi")
            place = each["ControllerNumber"], each["ControllerLocation"]
            made.append(Drive(str(each["Id"]), str(each["Path"]), bus, *map(int, place)))
    return sorted(made, key=lambda drive: (drive.bus, drive.number, drive.location))


def read_settings(connection: Connection, vm: Machine) -> dict[str, Any]:
    """What a VM is made anew from, beside its disks: members as the cmdlets name them."""
    names = (
        "ProcessorCount",
        "MemoryStartup",
        "MemoryMinimum",
        "MemoryMaximum",
        "DynamicMemoryEnabled",
    )
    settings: dict[str, Any] = {"Generation": vm.generation, "Notes": vm.notes}
    settings |= {name: vm.members.get(name) for name in names}
    settings["NetworkAdapters"] = [
        {
            name: nic.get(name)
            for name in ("Name", "MacAddress", "DynamicMacAddressEnabled", "SwitchName", "IsLegacy")
        }
        for nic in connection.ask(pipelines.nics(vm.ref))
    ]
    if vm.generation == 2:
        settings["Firmware"] = connection.ask_one(pipelines.firmware(vm.ref))
    return settings


def read_hardware(settings: Mapping[str, Any], places: Iterable[Drive]) -> Hardware:
    nics = settings["NetworkAdapters"]
    memory = settings["MemoryStartup"]
    return Hardware(
        memory_mib=None if memory is None else int(memory) // _MIB,
        cpus=settings["ProcessorCount"],
        firmware=Firmware.UEFI if settings["Generation"] == 2 else Firmware.BIOS,
        buses={drive.key: drive.bus for drive in places},
        nics=tuple(Nic(_mac(nic), nic["SwitchName"], "legacy" if nic["IsLegacy"] else None) for nic in nics),
    )


def marked(notes: str, attempt: str) -> str:
    """Notes that say which restore made the VM."""
    mark = f"Restored by Restorium: {attempt}"
    return f"{notes}\n{mark}" if notes else mark


def _machine(found: Mapping[str, Any]) -> Machine:
    notes = str(found.get("Notes") or "")
    mark = _MARK.search(notes)
    return Machine(
        ref=str(found["Id"]).lower(),
        name=str(found["Name"]),
        state=int(found["State"]),
        generation=int(found["Generation"]),
        notes=notes if mark is None else notes[: mark.start()],
        restored_by=None if mark is None else mark[1],
        members=found,
    )


def _mac(nic: Mapping[str, Any]) -> str | None:
    """With colons; None where none was given out yet."""
    mac = str(nic["MacAddress"] or "")
    if not re.fullmatch("[0-9A-Fa-f]{12}", mac) or not int(mac, 16):
        return None
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2)).lower()
