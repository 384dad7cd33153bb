"""How a VM's description is kept with its restore point: JSON in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.vocabulary.errors import DataCorrupt


def to_json(description: VmDescription) -> dict[str, Any]:
    """``name``, ``settings`` in the host's own shape, ``disks`` with ``key``, ``size`` and ``format``."""
    return {
        "name": description.name,
        "settings": dict(description.settings),
        "disks": [asdict(disk) for disk in description.disks],
    }


def from_json(value: Mapping[str, Any]) -> VmDescription:
    """What ``to_json`` gave; other members are left aside. Raises DataCorrupt for anything else."""
    try:
        disks = tuple(
            DiskInfo(str(disk["key"]), int(disk["size"]), str(disk["format"])) for disk in value["disks"]
        )
        return VmDescription(str(value["name"]), disks, dict(value["settings"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataCorrupt("the restore point does not describe a VM in a way that is understood") from error
