"""The definition of a restored VM: made of the one it had, or of the hardware that a VM of another platform had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from lxml import etree

from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.libvirt.domains import Domain, attribute, parse
from restorium.hosts.libvirt.foreign import foreign_domain, read_abilities
from restorium.hosts.libvirt.marks import remove_mark
from restorium.hosts.libvirt.secrets import give_back, withhold
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import HostError

KIND = "libvirt"
_CONSOLES = ("serial", "console", "parallel")
_HARMLESS_CONSOLES = ("pty", "null", "vc")


@dataclass(slots=True)
class Machine:
    """A definition without its images. lost: sentences for people about what of the VM it has not got."""

    domain: etree._Element
    targets: dict[str, str]
    lost: list[str] = field(default_factory=list)

    def defined(self, images: Mapping[str, tuple[Path, str]]) -> etree._Element:
        """With these images and their formats by disk; disks that have none are left out."""
        devices = self.domain.find("devices")
        assert devices is not None
        keys = {target: key for key, target in self.targets.items()}
        for element in devices.findall("disk"):
            if element.get("device", "disk") not in ("disk", "lun"):
                continue
            image = images.get(keys.get(attribute(element, "target", "dev") or "", ""))
            if image is None:
                devices.remove(element)
            else:
                _set_image(element, *image)
        return self.domain


def machine_of(
    description: VmDescription, *, name: str, uuid: UUID, beside: bool, original: Domain | None, virsh: Virsh
) -> Machine:
    """beside: the original goes on, so what may be there only once is made anew. original: that it is to replace.

    Raises HostError.
    """
    is_own = description.kind == KIND
    made = (
        _own(description, beside, original)
        if is_own
        else Machine(*foreign_domain(description, read_abilities(virsh)))
    )
    for tag, text in (("uuid", str(uuid)), ("name", name)):
        element = made.domain.find(tag)
        if element is None:
            element = etree.Element(tag)
            made.domain.insert(0, element)
        element.text = text
    return made


def kept_settings(xml: str, images: Sequence[Path]) -> dict[str, Any]:
    """What a restore point keeps of a VM of this kind: its definition without what a restored one has of its own.

    folder: where its first disk is.
    """
    domain = parse(xml)
    remove_mark(domain)
    withhold(domain)
    for element in [*domain.findall("name"), *domain.findall("uuid")]:
        domain.remove(element)
    own = {str(image) for image in images}
    for disk in domain.iterfind("devices/disk"):
        source = disk.find("source")
        if source is not None and source.get("file", "") in own:
            disk.remove(source)
    return {"xml": etree.tostring(domain, encoding="unicode"), "folder": str(images[0].parent)}


def as_text(domain: etree._Element) -> str:
    return etree.tostring(domain, encoding="unicode")


def _own(description: VmDescription, beside: bool, original: Domain | None) -> Machine:
    xml = description.settings.get("xml")
    if not isinstance(xml, str):
        raise HostError(f"the restore point keeps no definition of {description.name!r}")
    domain = parse(xml)
    devices = domain.find("devices")
    if domain.tag != "domain" or devices is None:
        raise HostError(
            f"the restore point keeps no definition of {description.name!r} that can be understood"
        )
    domain.attrib.pop("id", "")
    made = Machine(domain, {disk.key: disk.key for disk in description.disks})
    made.lost += give_back(domain, None if original is None else parse(original.xml))
    _add_missing(devices, description.disks)
    for drive in devices.findall("disk"):
        source = drive.find("source")
        file = None if source is None else source.get("file")
        if source is None or file is None or drive.get("device") not in ("cdrom", "floppy"):
            continue
        if not Path(file).exists():
            drive.remove(source)
            made.lost.append(
                f"The drive {attribute(drive, 'target', 'dev')} is empty, for {file} is not there."
            )
    if beside:
        _make_anew(domain, devices, made.lost)
    return made


def _make_anew(domain: etree._Element, devices: etree._Element, lost: list[str]) -> None:
    for interface in devices.findall("interface"):
        for mac in interface.findall("mac"):
            interface.remove(mac)
    nvram = domain.find("os/nvram")
    if nvram is not None and nvram.text:
        nvram.text = None
        lost.append("The variables of its UEFI firmware begin empty.")
    for tag, what in (("hostdev", "A device passed through"), ("tpm", "Its TPM")):
        for element in devices.findall(tag):
            devices.remove(element)
            lost.append(f"{what} is left with the original.")
    for tag in _CONSOLES:
        for console in devices.findall(tag):
            if console.get("type") not in _HARMLESS_CONSOLES:
                console.set("type", "pty")
                for element in [
                    *console.findall("source"),
                    *console.findall("log"),
                    *console.findall("protocol"),
                ]:
                    console.remove(element)
    for graphics in devices.findall("graphics"):
        if graphics.get("port") not in (None, "-1"):
            graphics.set("port", "-1")
            graphics.set("autoport", "yes")


def _add_missing(devices: etree._Element, disks: Sequence[DiskInfo]) -> None:
    """Disks that the VM had while it ran, but not in its lasting definition."""
    known = {attribute(element, "target", "dev") for element in devices.iterfind("disk")}
    for disk in disks:
        if disk.key not in known:
            element = etree.SubElement(devices, "disk", {"device": "disk"})
            etree.SubElement(element, "target", {"dev": disk.key, "bus": _bus_of(disk.key)})


def _bus_of(target: str) -> str:
    return {"v": "virtio", "h": "ide"}.get(target[:1], "scsi")


def _set_image(element: etree._Element, path: Path, image_format: str) -> None:
    element.set("type", "file")
    element.set("device", "disk")
    element.attrib.pop("snapshot", "")
    driver = element.find("driver")
    if driver is None:
        driver = etree.Element("driver", {"name": "qemu"})
        element.insert(0, driver)
    driver.set("type", image_format)
    for tag in ("source", "backingStore", "mirror", "transient", "readonly"):
        for each in element.findall(tag):
            element.remove(each)
    source = etree.Element("source", {"file": str(path)})
    element.insert(list(element).index(driver) + 1, source)
