"""What libvirt's XML says of a VM. Facts are those of libvirt's documents formatdomain and formatbackup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from lxml import etree

from restorium.hosts.interface import Firmware, Hardware, Nic
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import HostError, Unsupported, VmNotFound

_BUSES = {"ide", "sata", "scsi", "virtio", "nvme"}
_KIB = {
    "b": 1 / 1024,
    "bytes": 1 / 1024,
    "KiB": 1,
    "k": 1,
    "MiB": 1 << 10,
    "M": 1 << 10,
    "GiB": 1 << 20,
    "G": 1 << 20,
}


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk. target: as ``vda``. path: its image; what cannot be read has none and says ``why``."""

    target: str
    format: str
    bus: str | None
    path: Path | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A VM as libvirt tells of it.

    xml: its lasting definition, with passwords. active: it runs or is paused. user: of its QEMU.
    """

    uuid: UUID
    name: str
    disks: Sequence[Disk]
    hardware: Hardware
    xml: str
    active: bool
    user: int | None

    def images(self) -> list[tuple[Disk, Path]]:
        """The disks, each with its image. Raises Unsupported for a VM with a disk that cannot be read."""
        found = []
        for disk in self.disks:
            if disk.path is None:
                raise Unsupported(
                    f"disk {disk.target!r} of {self.name!r} {disk.why}",
                    hint="Disks must be image files of this machine; docs/platforms.md says which.",
                )
            found.append((disk, disk.path))
        if not found:
            raise HostError(f"{self.name!r} has no disk", hint="Take it out of the job.")
        return found


def read_domain(virsh: Virsh, ref: str) -> Domain:
    """Raises VmNotFound, HostError."""
    uuid = as_uuid(ref)
    if uuid is None:
        raise VmNotFound(f"libvirt at {virsh.address} has no VM {ref!r}: its refs are UUIDs")
    now = parse(virsh.run("dumpxml", str(uuid)))
    active = "id" in now.attrib
    lasting = virsh.run("dumpxml", str(uuid), "--inactive", "--security-info")
    return Domain(
        uuid,
        now.findtext("name") or str(uuid),
        [disk for element in now.iterfind("devices/disk") if (disk := _disk(virsh, element)) is not None]
        + [_passed_through(element) for element in now.iterfind("devices/hostdev[@type='scsi']")],
        read_hardware(now),
        lasting,
        active,
        _user(now.findtext("seclabel[@model='dac']/label")),
    )


def usual_user(virsh: Virsh) -> int | None:
    """The user id that QEMU runs under, None where it is that of libvirt itself. Raises HostError."""
    told = parse(virsh.run("capabilities"))
    return _user(told.findtext("host/secmodel[model='dac']/baselabel"))


def as_uuid(ref: str) -> UUID | None:
    """None for what is none, or is written in another way than libvirt writes it."""
    try:
        uuid = UUID(ref)
    except ValueError:
        return None
    return uuid if str(uuid) == ref else None


def parse(xml: str) -> etree._Element:
    """Raises HostError for what is no XML. Nothing outside of it is read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    try:
        return etree.fromstring(xml.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise HostError(f"a definition of libvirt's cannot be read: {error}") from error


def read_hardware(domain: etree._Element) -> Hardware:
    """What can be understood of it; the rest is unknown."""
    memory = domain.find("memory")
    is_uefi = (
        domain.find("os[@firmware='efi']") is not None or domain.find("os/loader[@type='pflash']") is not None
    )
    vcpus = domain.findtext("vcpu") or ""
    return Hardware(
        memory_mib=None if memory is None else _mib(memory),
        cpus=int(vcpus) if vcpus.strip().isdigit() else None,
        firmware=Firmware.UEFI if is_uefi else Firmware.BIOS,
        buses={
            str(target.get("dev")): str(target.get("bus"))
            for disk in domain.iterfind("devices/disk")
            if _is_disk(disk) and (target := disk.find("target")) is not None and target.get("bus") in _BUSES
        },
        nics=tuple(_nic(element) for element in domain.iterfind("devices/interface")),
    )


def attribute(element: etree._Element, path: str, name: str) -> str | None:
    """That of the first element at the path."""
    found = element.find(path)
    return None if found is None else found.get(name)


def _mib(memory: etree._Element) -> int | None:
    text, unit = (memory.text or "").strip(), _KIB.get(memory.get("unit", "KiB"))
    return max(1, round(int(text) * unit / 1024)) if text.isdigit() and unit is not None else None


def _nic(element: etree._Element) -> Nic:
    source = element.find("source")
    networks = () if source is None else (source.get(name) for name in ("network", "bridge", "dev"))
    return Nic(
        attribute(element, "mac", "address"),
        next((network for network in networks if network), None),
        attribute(element, "model", "type"),
    )


def _is_disk(element: etree._Element) -> bool:
    return element.get("device", "disk") in ("disk", "lun")


def _disk(virsh: Virsh, element: etree._Element) -> Disk | None:
    """None for a CD-ROM or floppy drive."""
    if not _is_disk(element):
        return None
    target = attribute(element, "target", "dev") or "?"
    image_format = attribute(element, "driver", "type") or "raw"
    kind, path, why = element.get("type"), None, None
    if element.get("device") == "lun":
        why = "is passed through to the VM"
    elif element.find("source/encryption") is not None or element.find("encryption") is not None:
        why = "is encrypted by libvirt"
    elif kind == "file":
        path = attribute(element, "source", "file")
    elif kind == "volume":
        pool, volume = (
            attribute(element, "source", "pool") or "",
            attribute(element, "source", "volume") or "",
        )
        path = virsh.run("vol-path", "--pool", pool, "--vol", volume).strip()
    if path is None or not path.startswith("/") or not (kind == "file" or Path(path).is_file()):
        why = why or f"is of the type {kind!r}, not an image file"
        return Disk(target, image_format, attribute(element, "target", "bus"), None, why)
    return Disk(target, image_format, attribute(element, "target", "bus"), Path(path))


def _passed_through(element: etree._Element) -> Disk:
    return Disk(
        attribute(element, "alias", "name") or "hostdev", "raw", "scsi", None, "is passed through to the VM"
    )


def _user(label: str | None) -> int | None:
    """The user id that QEMU runs under, as a label tells it: ``+64055:+64055``."""
    user = (label or "").partition(":")[0].removeprefix("+")
    return int(user) if user.isdigit() else None
