"""What a description says of a VM's hardware, in members that docs/image-folder.md names. Others are no fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from restorium.hosts.image_folder.descriptions import Description
from restorium.hosts.interface import Firmware, Hardware, Nic


def read_hardware(description: Description) -> Hardware:
    """What can be understood of it; the rest is unknown."""
    settings = description.settings
    firmware = settings.get("firmware")
    nics = settings.get("nic")
    buses = {disk.key: _text(disk.settings, "bus") for disk in description.disks}
    return Hardware(
        memory_mib=_number(settings, "memory_mib"),
        cpus=_number(settings, "cpus"),
        firmware=Firmware(firmware) if firmware in list(Firmware) else None,
        buses={key: bus for key, bus in buses.items() if bus is not None},
        nics=tuple(
            Nic(_text(nic, "mac"), _text(nic, "network"), _text(nic, "model"))
            for nic in (nics if isinstance(nics, list) else ())
            if isinstance(nic, Mapping)
        ),
    )


def written_settings(hardware: Hardware) -> dict[str, Any]:
    """The members of a VM of these; ``bus`` is each disk's own."""
    nics = [{"mac": nic.mac, "network": nic.network, "model": nic.model} for nic in hardware.nics]
    members = {
        "memory_mib": hardware.memory_mib,
        "cpus": hardware.cpus,
        "firmware": hardware.firmware and str(hardware.firmware),
        "nic": nics or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _number(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(settings: Mapping[str, Any], name: str) -> str | None:
    value = settings.get(name)
    return value if isinstance(value, str) else None
