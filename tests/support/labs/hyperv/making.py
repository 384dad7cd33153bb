"""The cmdlets that make, change and remove VMs and files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from restorium.hosts.hyperv import scripts
from tests.support.labs.hyperv.cmdlets import Items, Parameters, vm_item
from tests.support.labs.hyperv.machines import IDE, OFF, RUNNING, SCSI, Drive, Nic, Refused, Vm, Windows
from tests.support.labs.hyperv.powershell import Item, cmdlet, script

_CONTROLLERS = {"IDE": IDE, "SCSI": SCSI}


@cmdlet("New-VM", "Name Generation MemoryStartupBytes NoVHD Path SwitchName")
def _new_vm(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    assert parameters["Generation"] in (1, 2)
    folder = rf"{parameters['Path']}\{parameters['Name']}"
    vm = Vm(parameters["Name"], parameters["Generation"], folder, memory=parameters["MemoryStartupBytes"])
    configuration = windows.local(vm.configuration)
    configuration.parent.mkdir(parents=True)
    configuration.touch()
    windows.vms.append(vm)
    yield vm_item(vm)


@cmdlet(
    "Set-VM",
    "NewVMName Notes ProcessorCount MemoryStartupBytes MemoryMinimumBytes MemoryMaximumBytes "
    "DynamicMemory StaticMemory",
)
def _set_vm(_: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    members = {
        "NewVMName": "name",
        "Notes": "notes",
        "ProcessorCount": "cpus",
        "MemoryStartupBytes": "memory",
        "MemoryMinimumBytes": "least_memory",
        "MemoryMaximumBytes": "most_memory",
    }
    for item in items or ():
        vm = item["vm"]
        if {"ProcessorCount", "MemoryStartupBytes"} & set(parameters):
            _must_be_off(vm)
        for parameter, member in members.items():
            if parameter in parameters:
                setattr(vm, member, parameters[parameter])
        vm.dynamic = "DynamicMemory" in parameters or (vm.dynamic and "StaticMemory" not in parameters)
    yield from ()


@cmdlet("Stop-VM", "TurnOff Force Save")
def _stop_vm(_: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    assert "TurnOff" in parameters
    for item in items or ():
        item["vm"].state = OFF
    yield from ()


@cmdlet("Remove-VM", "Force")
def _remove_vm(windows: Windows, _: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        _must_be_off(item["vm"])
        windows.vms.remove(item["vm"])
        configuration = windows.local(item["vm"].configuration)
        configuration.unlink(missing_ok=True)
        for folder in configuration.parents[:2]:
            with suppress(OSError):
                folder.rmdir()
    yield from ()


@cmdlet("Get-VMScsiController", "ControllerNumber")
def _controllers(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        for number in range(item["vm"].scsi_controllers):
            yield {"ControllerNumber": number}


@cmdlet("Add-VMScsiController")
def _add_controller(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        item["vm"].scsi_controllers += 1
    yield from ()


@cmdlet("Add-VMHardDiskDrive", "ControllerType ControllerNumber ControllerLocation Path")
def _add_drive(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        vm = item["vm"]
        kind, number = _CONTROLLERS[parameters["ControllerType"]], parameters["ControllerNumber"]
        if kind == IDE:
            _must_be_off(vm)
        if (kind == IDE and vm.generation == 2) or number >= (2 if kind == IDE else vm.scsi_controllers):
            raise Refused("The specified controller does not exist.")
        drive = Drive(kind, number, parameters["ControllerLocation"], parameters["Path"])
        if any((d.type, d.number, d.location) == (kind, number, drive.location) for d in vm.drives):
            raise Refused("The location is in use.")
        windows.size(drive.path)
        vm.drives.append(drive)
    yield from ()


@cmdlet("Remove-VMHardDiskDrive")
def _remove_drive(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        item["vm"].drives.remove(item["drive"])
    yield from ()


@cmdlet("Add-VMNetworkAdapter", "Name SwitchName StaticMacAddress DynamicMacAddress IsLegacy")
def _add_nic(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        switch, mac = parameters.get("SwitchName"), parameters.get("StaticMacAddress")
        if switch is not None and switch not in windows.switches:
            raise Refused(f"Hyper-V was unable to find a virtual switch with name '{switch}'.")
        item["vm"].nics.append(
            Nic(parameters["Name"], mac or "000000000000", mac is None, switch, "IsLegacy" in parameters)
        )
    yield from ()


@cmdlet("Remove-VMNetworkAdapter")
def _remove_nic(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        item["vm"].nics.remove(item["nic"])
    yield from ()


@cmdlet("Set-VMFirmware", "EnableSecureBoot SecureBootTemplate")
def _set_firmware(_: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        vm = item["vm"]
        assert vm.generation == 2
        vm.secure_boot = {"On": 0, "Off": 1}[parameters["EnableSecureBoot"]]
        vm.secure_boot_template = parameters.get("SecureBootTemplate", vm.secure_boot_template)
    yield from ()


@script(scripts.BOOT_FROM_DISK)
def _boot_from(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    vm = windows.vm(parameters["VmId"])
    vm.boots_from = (parameters["Number"], parameters["Location"])
    yield from ()


@cmdlet("New-Item", "ItemType Path Force")
def _new_item(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    assert parameters["ItemType"] == "Directory"
    windows.local(parameters["Path"]).mkdir(parents=True, exist_ok="Force" in parameters)
    yield {"FullName": parameters["Path"]}


@cmdlet("Out-Null")
def _nothing(_: Windows, __: Parameters, ___: Items) -> Iterator[Any]:
    yield from ()


@cmdlet("Get-Item", "LiteralPath")
def _get_item(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    path = parameters["LiteralPath"]
    if not windows.local(path).exists():
        raise Refused(f"Cannot find path '{path}' because it does not exist.")
    yield {"FullName": path}


@cmdlet("Get-ChildItem", "LiteralPath Force")
def _get_child_item(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    path = windows.local(parameters["LiteralPath"])
    if not path.exists():
        raise Refused(f"Cannot find path '{parameters['LiteralPath']}' because it does not exist.")
    for file in path.iterdir():
        yield {"FullName": parameters["LiteralPath"] + "\\" + file.name}


@cmdlet("Remove-Item", "Recurse Force")
def _remove_item(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        file = windows.local(item["FullName"])
        used = {drive.path.lower() for vm in windows.vms if vm.state == RUNNING for drive in vm.drives}
        if item["FullName"].lower() in used:
            raise Refused("The process cannot access the file because it is being used by another process.")
        if file.is_dir():
            assert "Recurse" in parameters
            shutil.rmtree(file)
        else:
            file.unlink()
    yield from ()


def _must_be_off(vm: Vm) -> None:
    if vm.state != OFF:
        raise Refused("The operation cannot be performed while the virtual machine is in its current state.")
