"""How a VM's description is kept with its restore point: JSON in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from restorium.hosts.interface import Container, DiskInfo, Firmware, Hardware, Nic, VmDescription
from restorium.vocabulary.errors import DataCorrupt


def to_json(description: VmDescription) -> dict[str, Any]:
    """``name``, ``kind``, ``settings`` in that kind's own shape, ``hardware``, ``disks`` with ``key``, ``size`` and
    ``format``, and the vApp that the VM is ``part_of`` or null.
    """
    return {
        "name": description.name,
        "kind": description.kind,
        "hardware": asdict(description.hardware),
        "settings": dict(description.settings),
        "disks": [asdict(disk) for disk in description.disks],
        "part_of": None if description.part_of is None else asdict(description.part_of),
    }


def from_json(value: Mapping[str, Any]) -> VmDescription:
    """What ``to_json`` gave; other members are left aside. Raises DataCorrupt for anything else."""
    try:
        disks = tuple(
            DiskInfo(str(disk["key"]), int(disk["size"]), str(disk["format"])) for disk in value["disks"]
        )
        return VmDescription(
            str(value["name"]),
            disks,
            dict(value["settings"]),
            # Before there were other kinds, points said nothing of kind and hardware.
            str(value.get("kind", "image-folder")),
            _hardware(value.get("hardware", {})),
            None if value.get("part_of") is None else Container(**value["part_of"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataCorrupt("the restore point does not describe a VM in a way that is understood") from error


def _hardware(value: Mapping[str, Any]) -> Hardware:
    firmware = value.get("firmware")
    return Hardware(
        memory_mib=value.get("memory_mib"),
        cpus=value.get("cpus"),
        firmware=None if firmware is None else Firmware(firmware),
        buses=dict(value.get("buses", {})),
        nics=tuple(Nic(**nic) for nic in value.get("nics", ())),
    )
