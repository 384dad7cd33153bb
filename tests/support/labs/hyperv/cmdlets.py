"""The cmdlets of the Hyper-V module and of storage that look at things and hold VMs still, and tracking of changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from restorium.hosts.hyperv import scripts
from tests.support.labs.hyperv.machines import RUNNING, Drive, ReferencePoint, Refused, Snapshot, Vm, Windows
from tests.support.labs.hyperv.powershell import Item, cmdlet, script

Parameters = dict[str, Any]
Items = list[Any] | None


def vm_item(vm: Vm) -> Item:
    return {
        "vm": vm,
        "Id": vm.id,
        "VMId": vm.id,
        "Name": vm.name,
        "State": vm.state,
        "Status": "Operating normally",
        "Generation": vm.generation,
        "ProcessorCount": vm.cpus,
        "MemoryStartup": vm.memory,
        "MemoryMinimum": vm.least_memory,
        "MemoryMaximum": vm.most_memory,
        "DynamicMemoryEnabled": vm.dynamic,
        "Notes": vm.notes,
    }


def drive_item(vm: Vm, drive: Drive, holder: str | None = None) -> Item:
    return {
        "vm": vm,
        "drive": drive,
        "VMId": vm.id,
        "Id": vm.drive_id(drive, holder),
        "Path": drive.path,
        "ControllerType": drive.type,
        "ControllerNumber": drive.number,
        "ControllerLocation": drive.location,
        "DiskNumber": drive.disk_number,
    }


def snapshot_item(vm: Vm, snapshot: Snapshot) -> Item:
    return {"vm": vm, "snapshot": snapshot, "Id": snapshot.id, "Name": snapshot.name, "VMId": vm.id}


@cmdlet("Get-VMHost")
def _host(windows: Windows, _: Parameters, __: Items) -> Iterator[Item]:
    yield {"Name": "HOST", "VirtualHardDiskPath": windows.disks, "VirtualMachinePath": windows.disks}


@cmdlet("Get-VMSwitch", "Name")
def _switches(windows: Windows, _: Parameters, __: Items) -> Iterator[Item]:
    for name in windows.switches:
        yield {"Name": name}


@cmdlet("Get-VM", "Id Name")
def _vms(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    vms = [windows.vm(parameters["Id"])] if "Id" in parameters else list(windows.vms)
    for vm in vms:
        yield vm_item(vm)


@cmdlet("Get-VMSnapshot", "Id Name")
def _snapshots(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    vms = windows.vms if items is None else [item["vm"] for item in items]
    found = [snapshot_item(vm, snapshot) for vm in vms for snapshot in vm.snapshots]
    if "Id" in parameters:
        found = [item for item in found if item["Id"] == str(parameters["Id"])]
        if not found:
            raise Refused(f"Hyper-V was unable to find a checkpoint with id {parameters['Id']}.")
    yield from found


@cmdlet("Get-VMHardDiskDrive", "ControllerType ControllerNumber ControllerLocation")
def _drives(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        holder = item.get("snapshot") or item["vm"]
        for drive in holder.drives:
            yield drive_item(item["vm"], drive, holder.id)


@cmdlet("Get-VHD", "Path")
def _vhds(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    windows.go_on_merging()
    paths = [parameters["Path"]] if "Path" in parameters else [item["Path"] for item in items or ()]
    for path in paths:
        try:
            size = windows.size(path)
        except Refused:
            if parameters.get("ErrorAction") == "SilentlyContinue":
                continue
            raise
        yield {
            "Path": path,
            "VhdFormat": 3,
            "Size": size,
            "ParentPath": _parent(windows, path),
            "DiskIdentifier": None,
        }


def _parent(windows: Windows, path: str) -> str:
    for drive, parent, _ in windows.merging:
        if drive.path == path:
            return parent
    for vm in windows.vms:
        below = [*(snapshot.drives for snapshot in vm.snapshots), vm.drives]
        for before, after in pairwise(below):
            for old, new in zip(before, after, strict=False):
                if new.path == path:
                    return old.path
    return ""


@cmdlet("Get-VMNetworkAdapter", "Name")
def _nics(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        for nic in item["vm"].nics:
            yield {
                "vm": item["vm"],
                "nic": nic,
                "VMId": item["vm"].id,
                "Name": nic.name,
                "MacAddress": nic.mac,
                "DynamicMacAddressEnabled": nic.dynamic,
                "SwitchName": nic.switch,
                "IsLegacy": nic.legacy,
            }


@cmdlet("Get-VMFirmware")
def _firmware(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        vm = item["vm"]
        if vm.generation != 2:
            raise Refused("The operation cannot be performed on a virtual machine of generation 1.")
        yield {"vm": vm, "SecureBoot": vm.secure_boot, "SecureBootTemplate": vm.secure_boot_template}


@cmdlet("Get-Volume", "FilePath DriveLetter")
def _volume(windows: Windows, parameters: Parameters, _: Items) -> Iterator[Item]:
    windows.local(parameters["FilePath"])
    free = shutil.disk_usage(windows.volume).free if windows.free is None else windows.free
    yield {"DriveLetter": "C", "SizeRemaining": free}


@cmdlet("Start-VM")
def _start(_: Windows, __: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        item["vm"].state = RUNNING
    yield from ()


@cmdlet("Checkpoint-VM", "SnapshotName Passthru")
def _checkpoint(windows: Windows, parameters: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        made = windows.checkpoint(item["vm"], parameters["SnapshotName"])
        if "Passthru" in parameters:
            yield snapshot_item(item["vm"], made)


@cmdlet("Remove-VMSnapshot", "IncludeAllChildSnapshots")
def _remove_snapshot(windows: Windows, _: Parameters, items: Items) -> Iterator[Item]:
    for item in items or ():
        windows.merge(item["vm"], item["snapshot"])
    yield from ()


@script(scripts.CREATE_REFERENCE_POINT)
def _create_point(windows: Windows, parameters: Parameters, _: Items) -> Iterator[str]:
    vm = windows.vm(parameters["VmId"])
    made = ReferencePoint(
        vm.id, [vm.drive_id(drive, kind="L") for drive in vm.drives], [windows.track() for _ in vm.drives]
    )
    windows.points.append(made)
    yield json.dumps(
        {
            "InstanceID": made.id,
            "VirtualDiskIdentifiers": made.disks,
            "ResilientChangeTrackingIdentifiers": made.tracks,
        }
    )


@script(scripts.DESTROY_REFERENCE_POINTS)
def _destroy_points(windows: Windows, parameters: Parameters, _: Items) -> Iterator[str]:
    windows.points = [point for point in windows.points if point.id not in parameters["Points"]]
    yield from ()


@script(scripts.CHANGED_RANGES)
def _changed(windows: Windows, parameters: Parameters, _: Items) -> Iterator[str]:
    """Looks at half a gigabyte at a time."""
    length = min(int(parameters["Length"]), 512 << 20)
    found = windows.changes(parameters["Path"], parameters["Since"], int(parameters["Offset"]), length)
    yield json.dumps(
        {
            "ProcessedByteLength": length,
            "ChangedByteOffsets": [offset for offset, _ in found],
            "ChangedByteLengths": [count for _, count in found],
        }
    )
