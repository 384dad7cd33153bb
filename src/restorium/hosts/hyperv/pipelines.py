"""What is sent to PowerShell on a host, as pipelines of cmdlets or scripts with parameters: what looks at things here,
and what holds VMs still; ``changing`` has the rest.

Names, paths and identifiers are values of parameters, never part of any text. What comes back is JSON. The cmdlets are
those of the Hyper-V module of Windows Server 2016 and later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from restorium.hosts.hyperv import scripts


@dataclass(frozen=True, slots=True)
class Command:
    """A cmdlet, or the text of a script, and its parameters; one that is None is left out, a switch is True."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_script: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """what: for messages, as in "cannot <what>". changes: whether it must not be sent twice."""

    what: str
    commands: Sequence[Command]
    changes: bool = False


_VM = (
    "Id Name State Status Generation ProcessorCount MemoryStartup MemoryMinimum MemoryMaximum DynamicMemoryEnabled "
    "Notes"
)
_DRIVE = "VMId Id Path ControllerType ControllerNumber ControllerLocation DiskNumber"
_VHD = "Path VhdFormat Size ParentPath DiskIdentifier"
_NIC = "VMId Name MacAddress DynamicMacAddressEnabled SwitchName IsLegacy"
_FIRMWARE = "SecureBoot SecureBootTemplate"


def cmdlet(name: str, **parameters: Any) -> Command:
    return Command(name, {key: value for key, value in parameters.items() if value is not None})


def _asking(what: str, *commands: Command, members: str) -> Pipeline:
    return Pipeline(
        what,
        (
            *commands,
            cmdlet("Select-Object", Property=members.split()),
            cmdlet("ConvertTo-Json", Compress=True, Depth=2),
        ),
    )


def _vm(ref: str | None) -> Command:
    """The VM, or nothing if it is gone; every VM for None."""
    return cmdlet("Get-VM", Id=ref, ErrorAction=None if ref is None else "SilentlyContinue")


def that_vm(ref: str) -> Command:
    return cmdlet("Get-VM", Id=ref, ErrorAction="Stop")


def host() -> Pipeline:
    return _asking(
        "read the host's settings",
        cmdlet("Get-VMHost", ErrorAction="Stop"),
        members="Name VirtualHardDiskPath",
    )


def vms(ref: str | None = None) -> Pipeline:
    return _asking("list VMs", _vm(ref), members=_VM)


def drives(ref: str | None = None) -> Pipeline:
    return _asking("list disks", _vm(ref), cmdlet("Get-VMHardDiskDrive"), members=_DRIVE)


def vhds(ref: str | None = None) -> Pipeline:
    """The files of the VMs' disks; one that cannot be opened is left out."""
    return _asking(
        "look at disks",
        _vm(ref),
        cmdlet("Get-VMHardDiskDrive"),
        cmdlet("Select-Object", Property=["Path"]),
        cmdlet("Get-VHD", ErrorAction="SilentlyContinue"),
        members=_VHD,
    )


def nics(ref: str) -> Pipeline:
    return _asking("list network adapters", that_vm(ref), cmdlet("Get-VMNetworkAdapter"), members=_NIC)


def firmware(ref: str) -> Pipeline:
    """Only of VMs of generation 2."""
    return _asking("read the firmware", that_vm(ref), cmdlet("Get-VMFirmware"), members=_FIRMWARE)


def scsi_controllers(ref: str) -> Pipeline:
    return _asking(
        "list controllers", that_vm(ref), cmdlet("Get-VMScsiController"), members="ControllerNumber"
    )


def switches() -> Pipeline:
    return _asking("list virtual switches", cmdlet("Get-VMSwitch"), members="Name")


def folder(path: str) -> Pipeline:
    """Nothing if there is none."""
    return _asking(
        "look for a folder",
        cmdlet("Get-Item", LiteralPath=path, ErrorAction="SilentlyContinue"),
        members="FullName PSIsContainer",
    )


def inside(path: str) -> Pipeline:
    """What is in a folder; nothing too if there is none."""
    return _asking(
        "list a folder",
        cmdlet("Get-ChildItem", LiteralPath=path, Force=True, ErrorAction="SilentlyContinue"),
        members="FullName",
    )


def volume(path: str) -> Pipeline:
    return _asking(
        "ask for free space", cmdlet("Get-Volume", FilePath=path, ErrorAction="Stop"), members="SizeRemaining"
    )


def checkpoints(ref: str) -> Pipeline:
    return _asking("list checkpoints", that_vm(ref), cmdlet("Get-VMSnapshot"), members="Id Name")


def take_checkpoint(ref: str, name: str) -> Pipeline:
    """Of the kind that the VM is set to, which is a production checkpoint unless somebody changed that."""
    return Pipeline(
        "take a checkpoint",
        (
            that_vm(ref),
            cmdlet("Checkpoint-VM", SnapshotName=name, Passthru=True, ErrorAction="Stop"),
            cmdlet("Select-Object", Property=["Id", "Name"]),
            cmdlet("ConvertTo-Json", Compress=True, Depth=2),
        ),
        changes=True,
    )


def checkpoint_drives(checkpoint: str) -> Pipeline:
    return _asking(
        "list the disks of a checkpoint",
        cmdlet("Get-VMSnapshot", Id=checkpoint, ErrorAction="Stop"),
        cmdlet("Get-VMHardDiskDrive"),
        members=_DRIVE,
    )


def drives_of_checkpoints(ref: str) -> Pipeline:
    """Of all checkpoints of the VM."""
    return _asking(
        "list the disks of checkpoints",
        that_vm(ref),
        cmdlet("Get-VMSnapshot"),
        cmdlet("Get-VMHardDiskDrive"),
        members=_DRIVE,
    )


def remove_checkpoint(checkpoint: str) -> Pipeline:
    """One that is gone is no error, so it may be sent twice."""
    return Pipeline(
        "remove a checkpoint",
        (
            cmdlet("Get-VMSnapshot", Id=checkpoint, ErrorAction="SilentlyContinue"),
            cmdlet("Remove-VMSnapshot", Confirm=False, ErrorAction="Stop"),
        ),
    )


def vhd(path: str) -> Pipeline:
    return _asking("open a disk", cmdlet("Get-VHD", Path=path, ErrorAction="Stop"), members=_VHD)


def create_reference_point(ref: str) -> Pipeline:
    return run_script(
        "begin to track changes", scripts.CREATE_REFERENCE_POINT, changes=True, VmId=ref.upper()
    )


def destroy_reference_points(points: Sequence[str]) -> Pipeline:
    """Those that are gone are no error, so it may be sent twice."""
    return run_script("forget tracked changes", scripts.DESTROY_REFERENCE_POINTS, Points=list(points))


def changed_ranges(path: str, since: str, offset: int, length: int) -> Pipeline:
    return run_script(
        "tell what changed", scripts.CHANGED_RANGES, Path=path, Since=since, Offset=offset, Length=length
    )


def run_script(what: str, text: str, *, changes: bool = False, **parameters: Any) -> Pipeline:
    return Pipeline(what, (Command(text, parameters, is_script=True),), changes)
