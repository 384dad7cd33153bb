"""What makes, changes and removes VMs and files on a host, as pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from restorium.hosts.hyperv import scripts
from restorium.hosts.hyperv.pipelines import Command, Pipeline, cmdlet, run_script, that_vm


def _changing(what: str, *commands: Command) -> Pipeline:
    return Pipeline(what, commands, changes=True)


def _repeatable(what: str, *commands: Command) -> Pipeline:
    return Pipeline(what, commands)


def start(ref: str) -> Pipeline:
    return _repeatable("start the VM", that_vm(ref), cmdlet("Start-VM", ErrorAction="Stop"))


def turn_off(ref: str) -> Pipeline:
    """At once, as by pulling the plug."""
    return _repeatable(
        "turn the VM off", that_vm(ref), cmdlet("Stop-VM", TurnOff=True, Force=True, ErrorAction="Stop")
    )


def new_vm(name: str, generation: int, memory: int, folder: str) -> Pipeline:
    return _changing(
        "make a VM",
        cmdlet(
            "New-VM",
            Name=name,
            Generation=generation,
            MemoryStartupBytes=memory,
            NoVHD=True,
            Path=folder,
            ErrorAction="Stop",
        ),
        cmdlet("Select-Object", Property=["Id"]),
        cmdlet("ConvertTo-Json", Compress=True, Depth=2),
    )


def set_vm(ref: str, what: str, **members: Any) -> Pipeline:
    """members: as Set-VM names its parameters."""
    return _repeatable(what, that_vm(ref), cmdlet("Set-VM", ErrorAction="Stop", **members))


def remove_vm(ref: str) -> Pipeline:
    """Its disks' files stay."""
    return _changing(
        "remove a VM", that_vm(ref), cmdlet("Remove-VM", Force=True, Confirm=False, ErrorAction="Stop")
    )


def add_scsi_controller(ref: str) -> Pipeline:
    return _changing("add a controller", that_vm(ref), cmdlet("Add-VMScsiController", ErrorAction="Stop"))


def add_drive(ref: str, bus: str, number: int, location: int, path: str) -> Pipeline:
    return _changing(
        "attach a disk",
        that_vm(ref),
        cmdlet(
            "Add-VMHardDiskDrive",
            ControllerType=bus.upper(),
            ControllerNumber=number,
            ControllerLocation=location,
            Path=path,
            ErrorAction="Stop",
        ),
    )


def remove_drives(ref: str) -> Pipeline:
    return _repeatable(
        "detach disks",
        that_vm(ref),
        cmdlet("Get-VMHardDiskDrive"),
        cmdlet("Remove-VMHardDiskDrive", Confirm=False, ErrorAction="Stop"),
    )


def remove_nics(ref: str) -> Pipeline:
    return _repeatable(
        "remove network adapters",
        that_vm(ref),
        cmdlet("Get-VMNetworkAdapter"),
        cmdlet("Remove-VMNetworkAdapter", Confirm=False, ErrorAction="Stop"),
    )


def add_nic(ref: str, **members: Any) -> Pipeline:
    """members: as Add-VMNetworkAdapter names its parameters."""
    return _changing(
        "add a network adapter", that_vm(ref), cmdlet("Add-VMNetworkAdapter", ErrorAction="Stop", **members)
    )


def set_firmware(ref: str, members: Mapping[str, Any]) -> Pipeline:
    """members: as Set-VMFirmware names its parameters."""
    return _repeatable(
        "set the firmware", that_vm(ref), cmdlet("Set-VMFirmware", ErrorAction="Stop", **members)
    )


def boot_from(ref: str, number: int, location: int) -> Pipeline:
    """Of a VM of generation 2, the SCSI disk that is tried first."""
    return run_script(
        "set the boot device", scripts.BOOT_FROM_DISK, VmId=ref, Number=number, Location=location
    )


def make_folder(path: str) -> Pipeline:
    return _repeatable(
        "make a folder",
        cmdlet("New-Item", ItemType="Directory", Path=path, Force=True, ErrorAction="Stop"),
        cmdlet("Out-Null"),
    )


def remove_path(path: str) -> Pipeline:
    """A file, or a folder with all in it; what is gone is no error."""
    return _repeatable(
        "remove files",
        cmdlet("Get-Item", LiteralPath=path, ErrorAction="SilentlyContinue"),
        cmdlet("Remove-Item", Recurse=True, Force=True, Confirm=False, ErrorAction="Stop"),
    )
