"""VMs that Restorium starts under QEMU: they boot from their disks, whatever these and their firmware are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.hosts import acceleration, open_host
from restorium.hosts.interface import Chain, Host
from restorium.hosts.qemu import machine
from restorium.vocabulary.errors import HostError, Unsupported, VmNotFound
from tests.support.boots import MARKER, boot_sector
from tests.support.disks import MIB, qemu_img, read_all
from tests.support.labs.qemu import QemuLab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[QemuLab]:
    made = QemuLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: QemuLab) -> Host:
    return open_host("qemu", lab.address)


def _described(lab: QemuLab, ref: str, *, bus: str = "virtio", more: str = "") -> str:
    """A VM whose first disk boots and whose second does not."""
    lab.add_vm(ref, {"disk0": boot_sector() + bytes(MIB - 512), "disk1": bytes(MIB)})
    path = lab.folder / f"{ref}.vm.toml"
    path.write_text(more + path.read_text().replace('bus = "virtio"', f'bus = "{bus}"'))
    return ref


def _says(lab: QemuLab, ref: str, word: str) -> bool:
    console = lab.folder / f"{ref}.console.log"
    return console.exists() and word in console.read_text(errors="replace")


@pytest.mark.parametrize("bus", ["ide", "sata", "scsi", "virtio", "nvme"])
def test_a_vm_boots_from_its_first_disk_on_any_bus(lab: QemuLab, host: Host, bus: str) -> None:
    ref = _described(lab, f"Web, {bus}", bus=bus)
    host.power_on(ref)
    wait_until(lambda: _says(lab, ref, MARKER), timeout=60)
    host.power_on(ref)
    assert lab.runs(ref)
    with host.open_vm(ref, Chain("nightly", {})) as opened:
        assert read_all(opened.readers[0])[:512] == boot_sector()
    assert not lab.leftovers()


def test_a_vm_with_uefi_starts_its_firmware(lab: QemuLab, host: Host) -> None:
    ref = _described(lab, "web")
    path = lab.folder / f"{ref}.vm.toml"
    path.write_text(
        path.read_text().replace('"bios"', '"uefi"').replace("memory_mib = 32", "memory_mib = 128")
    )
    host.power_on(ref)
    wait_until(lambda: _says(lab, ref, "UEFI"), timeout=120)


def test_a_vm_without_firmware_or_qemu_says_what_to_install(
    lab: QemuLab, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = _described(lab, "web")
    path = lab.folder / f"{ref}.vm.toml"
    path.write_text(path.read_text().replace('"bios"', '"uefi"'))
    monkeypatch.setattr(machine, "_OVMF", ())
    with pytest.raises(Unsupported, match="UEFI") as refused:
        host.power_on(ref)
    assert "OVMF" in refused.value.hint
    monkeypatch.setattr(machine, "find", lambda _program: None)
    with pytest.raises(Unsupported, match="not installed") as refused:
        host.power_on(ref)
    assert "Install" in refused.value.hint
    assert not lab.runs(ref)


def test_a_vm_that_cannot_start_says_why(lab: QemuLab, host: Host) -> None:
    ref = _described(lab, "web")
    lab.start(_described(lab, "other"))
    path = lab.folder / f"{ref}.vm.toml"
    path.write_text(path.read_text().replace("web-disk1", "other-disk1"))
    with pytest.raises(HostError, match="lock"):
        host.power_on(ref)
    with pytest.raises(VmNotFound):
        host.power_on("nobody")


def test_kvm_is_not_used_for_being_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its device answers, and no guest runs with it: the processor's flags or the trial guest say so."""
    device = tmp_path / "kvm"
    device.touch()
    cpus = tmp_path / "cpuinfo"
    cpus.write_text("flags : fpu vmx\n")
    monkeypatch.setattr(acceleration, "_DEVICE", device)
    monkeypatch.setattr(acceleration, "_CPUS", cpus)
    monkeypatch.setattr(acceleration, "kvm_works", acceleration.kvm_works.__wrapped__)
    quick = tmp_path / "program"
    quick.write_text("#!/bin/sh\nexit 1\n")
    quick.chmod(0o700)
    monkeypatch.setattr(acceleration, "find", lambda _program: quick)
    assert acceleration.accelerator() == ["-accel", "tcg"]
    quick.write_text("#!/bin/sh\nexit 33\n")
    assert acceleration.accelerator()[1] == "kvm"
    cpus.write_text("flags : fpu\n")
    assert acceleration.accelerator() == ["-accel", "tcg"]


def test_a_vm_with_its_disk_on_an_overlay_is_read_through_it(lab: QemuLab, host: Host) -> None:
    """As after an external snapshot: the description still names the file below."""
    ref = _described(lab, "web")
    lab.start(ref)
    since = {}
    with host.open_vm(ref, Chain("nightly", {})) as opened:
        since = {key: str(each.token) for key, each in opened.tracked.items()}
    overlay = lab.folder / "overlay.qcow2"
    with lab.qmp(ref) as qmp:
        device = lab.device(qmp, lab.file(ref, "disk0"))
        qmp.execute("blockdev-snapshot-sync", {"device": device, "snapshot-file": str(overlay)})
        qmp.execute("human-monitor-command", {"command-line": f'qemu-io {device} "write -P 7 64k 64k"'})
    with host.open_vm(ref, Chain("nightly", since)) as opened:
        assert opened.tracked["disk0"].changed is None
        assert opened.tracked["disk0"].why
        assert read_all(opened.readers[0])[65536:131072] == b"\x07" * 65536
    assert not lab.leftovers()


def test_a_disk_that_qemu_knows_by_a_tree_of_options_is_found(lab: QemuLab, host: Host) -> None:
    disk = lab.folder / "tree.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", disk, "1M")
    description = lab.folder / "web.vm.toml"
    description.write_text('name = "web"\ndisk = []\n')
    below = f"file.driver=throttle,file.throttle-group=slow,file.file.driver=file,file.file.filename={disk}"
    lab.start(
        "web",
        *("-object", "throttle-group,id=slow", "-blockdev", f"driver=qcow2,node-name=own,{below}"),
        *("-device", "virtio-blk-pci,drive=own"),
    )
    description.write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "tree.qcow2"\n')
    with lab.qmp("web") as qmp:
        device = qmp.execute("query-block")[0]["qdev"]
        qmp.execute("human-monitor-command", {"command-line": f'qemu-io -d {device} "write -P 120 0 512"'})
    with host.open_vm("web", Chain("nightly", {})) as opened:
        assert read_all(opened.readers[0])[:512] == b"x" * 512
        assert opened.tracked["disk0"].token
    assert not lab.leftovers()
