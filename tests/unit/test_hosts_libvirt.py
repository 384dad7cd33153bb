"""Definitions of libvirt's, read and made without a libvirt. The host itself is held by the conformance suites."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree

from restorium.hosts.interface import DiskInfo, Firmware, Hardware, Nic, VmDescription
from restorium.hosts.libvirt.checkpoints import Token
from restorium.hosts.libvirt.domains import parse, read_hardware
from restorium.hosts.libvirt.foreign import Abilities, foreign_domain
from restorium.hosts.libvirt.machines import kept_settings, machine_of
from restorium.hosts.libvirt.marks import Mark, put_mark, read_mark
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import HostError

_UUID = UUID(int=7)
_XML = """
<domain type='kvm'><name>web</name><uuid>00000000-0000-0000-0000-000000000001</uuid>
  <memory unit='KiB'>524288</memory><vcpu current='1'>2</vcpu>
  <os><type>hvm</type><loader type='pflash'>/code.fd</loader><nvram template='/t.fd'>/var/web.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/images/web.raw'/>
      <backingStore/><target dev='sda' bus='scsi'/></disk>
    <disk type='file' device='cdrom'><source file='/nonexistent/cd.iso'/><target dev='sdb' bus='sata'/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='e1000'/></interface>
    <tpm model='tpm-crb'/><graphics type='vnc' port='5901' autoport='no'/>
  </devices></domain>
"""
_DISK = DiskInfo("sda", 1 << 20, "raw")


def _own(beside: bool) -> tuple[etree._Element, list[str]]:
    kept = kept_settings(_XML, [Path("/images/web.raw")])
    description = VmDescription("web", (_DISK,), kept, "libvirt")
    made = machine_of(
        description, name="copy", uuid=_UUID, beside=beside, original=None, virsh=Virsh("qemu:///system")
    )
    return made.defined({"sda": (Path("/images/copy.qcow2"), "qcow2")}), made.lost


def _foreign(hardware: Hardware, abilities: Abilities, keys: list[str]) -> tuple[etree._Element, str]:
    disks = tuple(DiskInfo(key, 1 << 20, "vmdk") for key in keys)
    domain, targets, lost = foreign_domain(VmDescription("vm", disks, {}, "vsphere", hardware), abilities)
    assert list(targets) == keys
    return domain, "\n".join(lost)


def test_hardware_is_read_from_a_definition() -> None:
    assert read_hardware(parse(_XML)) == Hardware(
        512, 2, Firmware.UEFI, {"sda": "scsi"}, (Nic("52:54:00:00:00:01", "br0", "e1000"),)
    )


def test_a_point_keeps_no_name_nor_place_of_a_vm() -> None:
    kept = kept_settings(_XML, [Path("/images/web.raw")])
    assert kept["folder"] == "/images"
    for gone in ("<name>", "<uuid>", "/images/web.raw"):
        assert gone not in kept["xml"]


def test_a_copy_has_images_name_and_identity_of_its_own() -> None:
    domain, lost = _own(beside=True)
    assert (domain.findtext("name"), domain.findtext("uuid")) == ("copy", str(_UUID))
    [disk, drive] = domain.findall("devices/disk")
    assert [child.tag for child in disk] == ["driver", "source", "target"]
    assert (disk.find("driver").get("type"), disk.find("source").get("file")) == (
        "qcow2",
        "/images/copy.qcow2",
    )
    assert drive.find("source") is None
    assert domain.find("devices/interface/mac") is None
    assert domain.find("devices/tpm") is None
    assert domain.find("devices/graphics").get("autoport") == "yes"
    assert not domain.findtext("os/nvram")
    for what in ("/nonexistent/cd.iso", "TPM", "UEFI"):
        assert what in "\n".join(lost)


def test_a_vm_restored_over_itself_keeps_what_it_was() -> None:
    domain, lost = _own(beside=False)
    assert domain.find("devices/interface/mac").get("address") == "52:54:00:00:00:01"
    assert domain.findtext("os/nvram") == "/var/web.fd"
    assert domain.find("devices/tpm") is not None
    assert "TPM" not in "\n".join(lost)


def test_a_vm_of_another_platform_gets_what_it_had_as_far_as_there_is() -> None:
    hardware = Hardware(
        2048, 4, Firmware.UEFI, {"a": "scsi", "b": "scsi", "c": "nvme"}, (Nic("x", "prod", "VMXNET3"), Nic())
    )
    domain, lost = _foreign(hardware, Abilities("kvm", True, frozenset({"prod", "default"})), ["a", "b", "c"])
    assert (domain.get("type"), domain.find("os").get("firmware")) == ("kvm", "efi")
    assert [(disk.get("dev"), disk.get("bus")) for disk in domain.iterfind("devices/disk/target")] == [
        ("sda", "scsi"),
        ("sdb", "scsi"),
        ("sdc", "sata"),
    ]
    assert [source.get("network") for source in domain.iterfind("devices/interface/source")] == [
        "prod",
        "default",
    ]
    assert [model.get("type") for model in domain.iterfind("devices/interface/model")] == [
        "vmxnet3",
        "e1000e",
    ]
    assert "controller of disk c was nvme, here it is sata" in lost
    assert "'prod'" not in lost


def test_what_nobody_knows_of_a_vm_is_told_with_what_it_gets() -> None:
    domain, lost = _foreign(
        Hardware(firmware=Firmware.UEFI, buses={str(n): "ide" for n in range(5)}),
        Abilities("qemu", False, frozenset()),
        [str(n) for n in range(5)],
    )
    targets = [disk.get("dev") for disk in domain.iterfind("devices/disk/target")]
    assert targets == ["hda", "hdb", "hdc", "hdd", "sda"], "an IDE machine has four disks"
    for what in ("memory", "processors", "UEFI", "disk 4"):
        assert what in lost


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "no XML",
        "<domain>",
        "<other/>",
        "<domain/>",
        "<!DOCTYPE d [<!ENTITY e 'x'>]><domain>&undefined;</domain>",
        7,
    ],
)
def test_settings_that_are_no_definition_are_refused(xml: object) -> None:
    description = VmDescription("web", (_DISK,), {"xml": xml}, "libvirt")
    with pytest.raises(HostError):
        machine_of(
            description, name="n", uuid=_UUID, beside=True, original=None, virsh=Virsh("qemu:///system")
        )


def test_nothing_outside_of_a_definition_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    domain = parse(f"<!DOCTYPE d [<!ENTITY e SYSTEM '{secret}'>]><domain><name>&e;</name></domain>")
    assert "password" not in etree.tostring(domain, encoding="unicode")


def test_the_last_restore_that_made_a_vm_is_the_one_it_is_marked_with() -> None:
    domain = parse(_XML)
    assert read_mark(domain) is None
    for attempt in ("one", "two"):
        put_mark(domain, Mark(attempt, {"sda": Path("/images/x")}), ["sdb"])
    assert read_mark(parse(etree.tostring(domain, encoding="unicode"))) == Mark(
        "two", {"sda": Path("/images/x")}
    )


@pytest.mark.parametrize("text", ["", "name", "@5", "name@", "name@x"])
def test_a_token_that_is_none_is_ignored(text: str) -> None:
    assert Token.parse(text) is None
    assert Token.parse("restorium-c-1@42") == Token("restorium-c-1", 42)
