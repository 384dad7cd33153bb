"""Restores into a real libvirt: over VMs that run, cut short, discarded, in several folders, onto full storage."""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Chain, Host, RestoreTarget, VmDescription
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import HostError, TargetExists, TargetFull, Unsupported
from restorium.vocabulary.restore import Placement
from tests.support.disks import MIB, qemu_img
from tests.support.labs.libvirt import LibvirtLab, disk

pytestmark = pytest.mark.slow

_CONTENTS = {"vda": b"a" * MIB + bytes(7 * MIB), "vdb": bytes(2 * MIB)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LibvirtLab]:
    made = LibvirtLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: LibvirtLab) -> Host:
    return open_host("libvirt", lab.address)


@pytest.fixture
def vm(lab: LibvirtLab) -> str:
    return lab.add_vm("web", _CONTENTS)


def _described(host: Host, ref: str) -> VmDescription:
    with host.open_vm(ref) as opened:
        return opened.description


def _written(host: Host, ref: str, new_name: str | None, byte: bytes = b"r") -> RestoreTarget:
    """A restore that is yet to be finalised."""
    target = host.restore_target(_described(host, ref), attempt="a1", original_ref=ref, new_name=new_name)
    for each in _described(host, ref).disks:
        with target.create_disk(each, [Extent(0, each.size, hole=False)]) as writer:
            writer.write(0, byte * each.size)
            writer.flush()
    return target


def _restored(byte: bytes = b"r") -> dict[str, bytes]:
    return {key: byte * len(content) for key, content in _CONTENTS.items()}


def test_placements_are_refused(lab: LibvirtLab, host: Host, vm: str) -> None:
    with pytest.raises(Unsupported):
        host.restore_target(
            _described(host, vm),
            attempt="a1",
            original_ref=vm,
            new_name="b",
            placement=Placement(storage="x"),
        )


def test_a_restore_over_a_running_vm_takes_its_power_only_when_it_is_finalised(
    lab: LibvirtLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    files = lab.files(vm)
    with host.open_vm(vm, Chain("nightly", {})):
        pass
    target = _written(host, vm, None)
    assert lab.runs(vm)
    assert target.finalise() == vm
    assert not lab.runs(vm)
    assert (lab.contents(vm), lab.files(vm)) == (_restored(), files)
    assert not lab.leftovers()
    assert not lab.virsh("checkpoint-list", vm, "--name").split()
    host.power_on(vm)
    assert lab.runs(vm)


def test_memory_that_was_saved_is_not_resumed_on_restored_disks(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.start(vm)
    lab.virsh("managedsave", vm)
    _written(host, vm, None).finalise()
    assert "Managed save: no" in " ".join(lab.virsh("dominfo", vm).split())


@pytest.mark.parametrize("then", ["finalise", "discard"])
def test_a_restore_over_the_original_that_is_cut_short_goes_on_or_back(
    lab: LibvirtLab, host: Host, vm: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _written(host, vm, None)
    ran = Virsh.run

    def failing(virsh: Virsh, command: str, *arguments: str) -> str:
        if command == "define":
            raise HostError("cut short")
        return ran(virsh, command, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Virsh, "run", failing)
        with pytest.raises(HostError, match="cut short"):
            target.finalise()
    again = host.restore_target(_described(host, vm), attempt="a1", original_ref=vm, new_name=None)
    assert again.finalised() is None
    if then == "finalise":
        assert again.finalise() == vm
        assert lab.contents(vm) == _restored()
    else:
        again.discard()
        assert lab.contents(vm) == _CONTENTS
    assert not lab.leftovers()


def test_a_restore_that_is_discarded_leaves_the_vm_running(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.start(vm)
    target = _written(host, vm, None)
    lab.files(vm)
    next(lab.folder.glob(".restorium-a1.1.*")).unlink()
    with pytest.raises(HostError, match="vdb"):
        target.finalise()
    target.discard()
    assert lab.runs(vm)
    assert lab.contents(vm) == _CONTENTS
    assert not lab.leftovers()


def test_a_name_taken_meanwhile_is_told_and_nothing_moves(lab: LibvirtLab, host: Host, vm: str) -> None:
    target = _written(host, vm, "copy")
    other = lab.add_vm("copy", {"vda": b"other" * 512})
    with pytest.raises(TargetExists, match="copy"):
        target.finalise()
    target.discard()
    assert lab.contents(other) == {"vda": b"other" * 512}
    assert {each.name for each in host.inventory()} == {"web", "copy"}
    assert not lab.leftovers()


def test_a_vm_with_a_disk_in_another_folder_is_replaced_where_each_disk_is(
    lab: LibvirtLab, host: Host
) -> None:
    elsewhere = Path(tempfile.mkdtemp(dir=lab.folder))
    elsewhere.chmod(0o755)
    images = {"vda": lab.folder / "one.qcow2", "vdb": elsewhere / "two.raw"}
    for key, image in images.items():
        qemu_img("create", "-q", "-f", image.suffix[1:], image, str(len(_CONTENTS[key])))
    ref = lab.define("web", "".join(disk(key, image.suffix[1:], image) for key, image in images.items()))
    _written(host, ref, None).finalise()
    assert lab.contents(ref) == _restored()
    assert {key: file for key, (file, _) in lab.files(ref).items()} == images
    assert not list(elsewhere.glob(".*"))
    shutil.rmtree(elsewhere)


def test_what_a_copy_cannot_have_twice_is_told(lab: LibvirtLab, host: Host) -> None:
    image = lab.folder / "one.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", image, "1M")
    serial = lab.folder / "console.log"
    devices = (
        disk("vda", "qcow2", image) + f"<serial type='file'><source path='{serial}'/></serial>"
        "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>"
    )
    ref = lab.define("web", devices)
    target = _written(host, ref, "copy")
    assert any("passed through" in sentence for sentence in target.not_carried())
    copy = lab.virsh("dumpxml", target.finalise())
    assert str(serial) not in copy
    assert "52:54:00:00:00:01" not in copy
    assert "hostdev" not in copy
    lab.start(lab.virsh("domuuid", "copy").strip())


def test_storage_that_is_full_is_told_and_nothing_is_left(lab: LibvirtLab, host: Host, vm: str) -> None:
    target = host.restore_target(_described(host, vm), attempt="a1", original_ref=vm, new_name="copy")
    [first, _] = _described(host, vm).disks
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
    try:
        with (
            pytest.raises(TargetFull),
            target.create_disk(first, [Extent(0, first.size, hole=False)]) as writer,
        ):
            writer.write(0, b"x" * first.size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    target.discard()
    assert not lab.leftovers()
    assert [each.name for each in host.inventory()] == ["web"]


@pytest.mark.parametrize("new_name", [None, "web2"])
def test_the_password_of_a_console_is_in_no_restore_point_and_is_not_lost_where_it_is_known(
    lab: LibvirtLab, host: Host, vm: str, new_name: str | None
) -> None:
    console = "<graphics type='vnc' port='-1' passwd='sesame'/>"
    definition = lab.virsh("dumpxml", vm).replace("</devices>", f"{console}</devices>")
    (lab.folder / "with-console.xml").write_text(definition)
    lab.virsh("define", str(lab.folder / "with-console.xml"))
    assert "sesame" not in str(_described(host, vm).settings)
    target = _written(host, vm, new_name)
    told = "".join(target.not_carried())
    made = lab.virsh("dumpxml", target.finalise(), "--inactive", "--security-info")
    if new_name is None:
        assert "passwd='sesame'" in made
        assert "console" not in told
    else:
        assert "passwd=''" in made, "without one, everybody would be let in"
        assert "vnc console lets nobody in" in told
