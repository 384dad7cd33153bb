"""The definition of a VM that another platform ran, made of its hardware with what this libvirt has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase

from lxml import etree

from restorium.hosts.acceleration import kvm_works
from restorium.hosts.interface import DiskInfo, Firmware, Nic, VmDescription
from restorium.hosts.libvirt.domains import parse
from restorium.hosts.libvirt.virsh import Virsh

_MEMORY_MIB, _CPUS = 1024, 1
_ANY_BUS = "sata"
_LETTERS = {"virtio": "vd", "sata": "sd", "scsi": "sd", "ide": "hd"}
_MOST_IDE = 4
_MODELS = {"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3"}
_ANY_MODEL = {"pc": "e1000", "q35": "e1000e"}


@dataclass(frozen=True, slots=True)
class Abilities:
    """What VMs can have on this libvirt. type: kvm, or qemu where that is not to be had or does not work."""

    type: str
    uefi: bool
    networks: frozenset[str]


def read_abilities(virsh: Virsh) -> Abilities:
    told = parse(virsh.run("domcapabilities", "--arch", "x86_64"))
    firmware = told.iterfind("os/enum[@name='firmware']/value")
    networks = virsh.lines("net-list", "--all", "--name")
    has_kvm = told.findtext("domain") == "kvm" and kvm_works()
    return Abilities(
        "kvm" if has_kvm else "qemu", any(value.text == "efi" for value in firmware), frozenset(networks)
    )


def foreign_domain(
    description: VmDescription, abilities: Abilities
) -> tuple[etree._Element, dict[str, str], list[str]]:
    """The domain, what its disks are called by their keys, and sentences about what it has not got."""
    hardware, lost = description.hardware, []
    if hardware.memory_mib is None:
        lost.append(f"Its memory is not known: it gets {_MEMORY_MIB} MiB.")
    if hardware.cpus is None:
        lost.append(f"The number of its processors is not known: it gets {_CPUS}.")
    buses = _buses(description, lost)
    machine = "pc" if "ide" in buses.values() else "q35"
    domain = etree.Element("domain", {"type": abilities.type})
    etree.SubElement(domain, "memory", {"unit": "MiB"}).text = str(hardware.memory_mib or _MEMORY_MIB)
    etree.SubElement(domain, "vcpu").text = str(hardware.cpus or _CPUS)
    system = etree.SubElement(domain, "os")
    if hardware.firmware is Firmware.UEFI and abilities.uefi and machine == "q35":
        system.set("firmware", "efi")
    elif hardware.firmware is Firmware.UEFI:
        lost.append(
            "Its firmware was UEFI, which this host has not got for it: it gets a BIOS and may not start."
        )
    etree.SubElement(system, "type", {"arch": "x86_64", "machine": machine}).text = "hvm"
    features = etree.SubElement(domain, "features")
    etree.SubElement(features, "acpi")
    devices = etree.SubElement(domain, "devices")
    targets = _targets(description.disks, buses)
    for disk in description.disks:
        element = etree.SubElement(devices, "disk", {"device": "disk"})
        etree.SubElement(element, "target", {"dev": targets[disk.key], "bus": buses[disk.key]})
    for number, nic in enumerate(hardware.nics, 1):
        _add_nic(devices, number, nic, machine, abilities, lost)
    etree.SubElement(devices, "graphics", {"type": "vnc", "port": "-1", "autoport": "yes"})
    etree.SubElement(devices, "console", {"type": "pty"})
    return domain, targets, lost


def _buses(description: VmDescription, lost: list[str]) -> dict[str, str]:
    """One for each disk, all that were known and can be had kept."""
    buses, ide = {}, 0
    for disk in description.disks:
        had = description.hardware.buses.get(disk.key)
        bus = had if had in _LETTERS else _ANY_BUS
        if bus == "ide":
            ide += 1
            bus = bus if ide <= _MOST_IDE else "scsi"
        if had is not None and had != bus:
            lost.append(f"The controller of disk {disk.key} was {had}, here it is {bus}.")
        buses[disk.key] = bus
    return buses


def _targets(disks: tuple[DiskInfo, ...], buses: Mapping[str, str]) -> dict[str, str]:
    used: dict[str, int] = {}
    targets = {}
    for disk in disks:
        letters = _LETTERS[buses[disk.key]]
        targets[disk.key] = f"{letters}{_letter(used.get(letters, 0))}"
        used[letters] = used.get(letters, 0) + 1
    return targets


def _letter(number: int) -> str:
    most = len(ascii_lowercase)
    return (ascii_lowercase[number // most - 1] if number >= most else "") + ascii_lowercase[number % most]


def _add_nic(
    devices: etree._Element, number: int, nic: Nic, machine: str, abilities: Abilities, lost: list[str]
) -> None:
    network = nic.network if nic.network in abilities.networks else None
    if network is None and "default" in abilities.networks:
        network = "default"
    if network is not None:
        interface = etree.SubElement(devices, "interface", {"type": "network"})
        etree.SubElement(interface, "source", {"network": network})
    else:
        interface = etree.SubElement(devices, "interface", {"type": "user"})
    if network != nic.network:
        place = f"the network {network!r}" if network is not None else "QEMU's own network"
        lost.append(
            f"Network card {number} was on {nic.network or 'an unknown network'!r}, here it is on {place}."
        )
    model = (nic.model or "").lower()
    model = model if model in _MODELS else _ANY_MODEL[machine]
    if nic.model is not None and model != nic.model:
        lost.append(f"Network card {number} was a {nic.model}, here it is a {model}.")
    etree.SubElement(interface, "model", {"type": model})
