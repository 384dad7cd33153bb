"""What is libvirt's own: a real libvirtd with real QEMU under TCG, held against what they and QEMU's tools say."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from restorium.hosts import open_host, room
from restorium.hosts.interface import Chain, Host, Login
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import (
    HostError,
    InvalidInput,
    Unsupported,
    VmNotFound,
)
from tests.support.disks import MIB, qemu_img, read_all
from tests.support.labs.libvirt import LibvirtLab, bitmaps, disk
from tests.support.tracking import backed_up, changes, piece_at
from tests.support.waiting import wait_until
from tests.support.writers import FIRST, RING, SECTOR, one_moment, writing_sector

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


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_chains_of_one_vm_do_not_disturb_each_other(lab: LibvirtLab, host: Host, vm: str, runs: bool) -> None:
    if runs:
        lab.start(vm)
    nightly, weekly = backed_up(host, vm), backed_up(host, vm, "weekly")
    lab.write(vm, "vda", 3 * MIB, b"x" * 4096)
    assert changes(host, vm, nightly)[0] == {"vda": piece_at(3 * MIB), "vdb": []}
    nightly = backed_up(host, vm, since=nightly)
    lab.write(vm, "vda", 5 * MIB, b"x" * 4096)
    assert changes(host, vm, nightly)[0]["vda"] == piece_at(5 * MIB)
    assert changes(host, vm, weekly, "weekly")[0]["vda"] == piece_at(3 * MIB) + piece_at(5 * MIB)


def test_changes_are_known_over_a_start_and_a_shutdown(lab: LibvirtLab, host: Host, vm: str) -> None:
    since = backed_up(host, vm)
    lab.write(vm, "vda", 2 * MIB, b"x")
    lab.start(vm)
    lab.write(vm, "vda", 4 * MIB, b"x")
    assert changes(host, vm, since)[0] == {"vda": piece_at(2 * MIB) + piece_at(4 * MIB), "vdb": []}
    since = backed_up(host, vm, since=since)
    lab.write(vm, "vdb", MIB, b"x")
    lab.virsh("destroy", vm, "--graceful")
    assert changes(host, vm, since)[0] == {"vda": [], "vdb": piece_at(MIB)}


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_a_chain_leaves_two_checkpoints_at_most(lab: LibvirtLab, host: Host, vm: str, runs: bool) -> None:
    if runs:
        lab.start(vm)
    since = backed_up(host, vm)
    for _ in range(3):
        since = backed_up(host, vm, since=since)
    names = lab.virsh("checkpoint-list", vm, "--name").split()
    assert len(names) == 2
    if not runs:
        assert all(sorted(bitmaps(*each)) == sorted(names) for each in lab.files(vm).values())


def test_a_backup_that_fails_leaves_no_checkpoint(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.start(vm)
    with pytest.raises(RuntimeError), host.open_vm(vm, Chain("nightly", {})):
        raise RuntimeError
    assert not lab.virsh("checkpoint-list", vm, "--name").split()
    assert not lab.leftovers()


def test_a_checkpoint_that_is_gone_is_told_and_the_disks_are_read_whole(
    lab: LibvirtLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    since = backed_up(host, vm)
    for name in lab.virsh("checkpoint-list", vm, "--name").split():
        lab.virsh("checkpoint-delete", vm, name)
    changed, why = changes(host, vm, since)
    assert changed == {"vda": None, "vdb": None}
    assert "Checkpoint" in str(why["vda"])
    since = backed_up(host, vm)
    assert set(since) == {"vda", "vdb"}, "it is tracked again"


@pytest.mark.parametrize(("at_backup", "reason"), [("off", "not closed"), ("running", "is gone")])
def test_after_qemu_was_killed_the_disks_are_read_whole_and_then_tracked_again(
    lab: LibvirtLab, host: Host, vm: str, at_backup: str, reason: str
) -> None:
    if at_backup == "running":
        lab.start(vm)
    since = backed_up(host, vm)
    if at_backup == "off":
        lab.start(vm)
    lab.kill(vm)
    changed, why = changes(host, vm, since)
    assert changed == {"vda": None, "vdb": None}
    assert reason in str(why["vda"])
    since = backed_up(host, vm, since=since)
    lab.write(vm, "vda", MIB, b"x")
    assert changes(host, vm, since)[0] == {"vda": piece_at(MIB), "vdb": []}


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_a_disk_that_grew_is_read_whole(lab: LibvirtLab, host: Host, vm: str, runs: bool) -> None:
    if runs:
        lab.start(vm)
    since = backed_up(host, vm)
    if runs:
        lab.virsh("blockresize", vm, "vda", "9M")
    else:
        qemu_img("resize", lab.files(vm)["vda"][0], "9M")
    with host.open_vm(vm, Chain("nightly", since)) as opened:
        assert opened.tracked["vda"].changed is None
        assert str(8 * MIB) in str(opened.tracked["vda"].why)
        assert opened.tracked["vdb"].changed == []
        assert [each.size for each in opened.description.disks] == [9 * MIB, 2 * MIB]
        assert read_all(opened.readers[0]) == _CONTENTS["vda"] + bytes(MIB)


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_a_raw_disk_beside_one_that_is_tracked_is_read_whole(lab: LibvirtLab, host: Host, runs: bool) -> None:
    ref = lab.add_vm("mixed", _CONTENTS, {"vdb": "raw"})
    if runs:
        lab.start(ref)
    since = backed_up(host, ref)
    assert set(since) == {"vda"}
    with host.open_vm(ref, Chain("nightly", since)) as opened:
        assert (opened.tracked["vda"].changed, opened.tracked["vdb"].changed) == ([], None)
        assert opened.tracked["vdb"].why is None, "nothing was lost"
        assert [read_all(reader) for reader in opened.readers] == list(_CONTENTS.values())


def test_a_vm_with_internal_snapshots_is_read_whole_and_can_go_back_to_them(
    lab: LibvirtLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    since = backed_up(host, vm)
    lab.virsh("snapshot-create-as", vm, "before")
    changed, why = changes(host, vm, since)
    assert changed == {"vda": None, "vdb": None}
    assert "internal snapshots" in str(why["vda"])
    lab.write(vm, "vda", MIB, b"y")
    lab.virsh("snapshot-revert", vm, "before", "--force")
    assert lab.contents(vm) == _CONTENTS


def test_a_paused_vm_is_backed_up_and_stays_paused(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.virsh("start", vm, "--paused")
    with host.open_vm(vm) as opened:
        assert read_all(opened.readers[0]) == _CONTENTS["vda"]
    assert not lab.has_job(vm)
    assert lab.virsh("domstate", vm).strip() == "paused"


def test_a_point_of_a_guest_that_writes_is_one_moment_of_both_disks(lab: LibvirtLab, host: Host) -> None:
    size = (FIRST + RING) * SECTOR
    lab.add_vm("plain", {"vda": writing_sector() + bytes(size - SECTOR), "vdb": bytes(size)})
    images = [lab.folder / f"plain-{key}.qcow2" for key in ("vda", "vdb")]
    seen_by_bios = zip(("vda", "vdb"), images, (1, 2), strict=True)
    ref = lab.define("busy", "".join(disk(key, "qcow2", image, order) for key, image, order in seen_by_bios))
    lab.start(ref)
    wait_until(lambda: _writes(lab, ref), timeout=60)
    seen = 0
    for _ in range(2):
        with host.open_vm(ref) as opened:
            began = _writes(lab, ref)
            wait_until(partial(_has_written, lab, ref, began + 200), timeout=60)
            seen = one_moment(opened.readers, seen)
    assert lab.runs(ref)
    assert not lab.leftovers()


def _has_written(lab: LibvirtLab, ref: str, count: int) -> bool:
    return _writes(lab, ref) > count


def _writes(lab: LibvirtLab, ref: str) -> int:
    told = [line.split() for line in lab.virsh("domblkstat", ref, "vda").splitlines()]
    return next(int(words[-1]) for words in told if "wr_req" in words)


_DYING = """
import os, signal, sys
from restorium.hosts import open_host
from restorium.hosts.interface import Chain
with open_host("libvirt", sys.argv[1]).open_vm(sys.argv[2], Chain("nightly", {})) as opened:
    opened.readers[0].read_into(0, memoryview(bytearray(65536)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_what_a_crash_leaves_is_removed_by_the_next_backup(
    lab: LibvirtLab, host: Host, vm: str, runs: bool
) -> None:
    if runs:
        lab.start(vm)
    since = backed_up(host, vm)
    died = subprocess.run(
        [sys.executable, "-c", _DYING, lab.address, vm], capture_output=True, timeout=60, check=False
    )
    assert died.returncode == -9, died.stderr
    left = set(Path(tempfile.gettempdir()).glob("restorium-libvirt-*"))
    assert left, "this test sees what is left"
    assert lab.has_job(vm) == runs
    lab.write(vm, "vda", MIB, b"x" * 512)
    with host.open_vm(vm, Chain("nightly", since)) as opened:
        assert read_all(opened.readers[0])[MIB : MIB + 512] == b"x" * 512
    assert not lab.leftovers()
    assert not [folder for folder in left if folder.exists() and not (folder / "owner").exists()]
    assert lab.runs(vm) == runs


def test_a_vm_is_read_by_one_at_a_time(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.start(vm)
    with host.open_vm(vm, Chain("nightly", {})) as opened:
        with pytest.raises(HostError, match="another backup"), host.open_vm(vm, Chain("weekly", {})):
            pass
        assert read_all(opened.readers[0]) == _CONTENTS["vda"]


def test_a_backup_job_of_another_program_is_left_alone(lab: LibvirtLab, host: Host, vm: str) -> None:
    lab.start(vm)
    document = lab.folder / "job.xml"
    document.write_text(
        "<domainbackup mode='pull'><server transport='tcp' name='127.0.0.1' port='0'/></domainbackup>"
    )
    socket = f"{lab.folder}/other.sock"
    document.write_text(
        f"<domainbackup mode='pull'><server transport='unix' socket='{socket}'/></domainbackup>"
    )
    lab.folder.chmod(0o777)
    lab.virsh("backup-begin", vm, str(document))
    with pytest.raises(HostError, match="another backup"), host.open_vm(vm):
        pass
    assert lab.has_job(vm)
    lab.virsh("domjobabort", vm)
    wait_until(lambda: not lab.has_job(vm))


def test_a_vm_that_is_off_cannot_start_while_it_is_read(lab: LibvirtLab, host: Host, vm: str) -> None:
    # libvirt says either that QEMU got no lock, or that QEMU was gone before it could be talked to.
    with host.open_vm(vm), pytest.raises(AssertionError, match="Failed to start domain"):
        lab.start(vm)
    lab.start(vm)


def test_a_vm_whose_qemu_ends_meanwhile_is_an_error_and_leaves_nothing(
    lab: LibvirtLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    with pytest.raises(HostError, match="NBD"), host.open_vm(vm, Chain("nightly", {})) as opened:
        lab.kill(vm)
        read_all(opened.readers[0])
    assert not lab.leftovers()
    with host.open_vm(vm) as again:
        assert read_all(again.readers[0]) == _CONTENTS["vda"]


def test_a_vm_goes_on_unharmed_when_no_room_is_left_for_what_it_overwrites(
    lab: LibvirtLab, host: Host, vm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.start(vm)
    with pytest.raises(HostError, match="MiB are free"), host.open_vm(vm, Chain("nightly", {})) as opened:
        monkeypatch.setattr(room, "RESERVE", 1 << 60)
        wait_until(lambda: not lab.has_job(vm))
        read_all(opened.readers[0])
    assert lab.runs(vm)
    with pytest.raises(HostError, match="MiB are free"), host.open_vm(vm):
        pass
    assert not lab.leftovers()


_UNREADABLE = {
    "passed through": "<disk type='block' device='lun'><driver name='qemu' type='raw'/>"
    "<source dev='/dev/null'/><target dev='sdb' bus='scsi'/></disk>",
    "'block'": "<disk type='block' device='disk'><driver name='qemu' type='raw'/>"
    "<source dev='/dev/null'/><target dev='sdb' bus='scsi'/></disk>",
    "'network'": "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='nbd' name='x'><host name='127.0.0.1' port='1'/></source>"
    "<target dev='sdb' bus='scsi'/></disk>",
}


@pytest.mark.parametrize("words", _UNREADABLE)
def test_a_vm_with_a_disk_that_cannot_be_read_is_listed_and_refused_by_its_name(
    lab: LibvirtLab, host: Host, words: str
) -> None:
    image = lab.folder / "fine.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", image, "1M")
    ref = lab.define("odd", disk("vda", "qcow2", image) + _UNREADABLE[words])
    [listed] = host.inventory()
    assert [each.key for each in listed.disks] == ["vda"]
    with pytest.raises(Unsupported, match=f"'sdb' of 'odd'.*{words}"), host.open_vm(ref):
        pass


def test_a_disk_whose_image_is_gone_is_named(lab: LibvirtLab, host: Host, vm: str) -> None:
    file = lab.files(vm)["vdb"][0]
    file.rename(file.with_suffix(".away"))
    with pytest.raises(HostError, match=file.name), host.open_vm(vm, Chain("nightly", {})):
        pass
    file.with_suffix(".away").rename(file)


@pytest.mark.parametrize(
    "address", ["qemu+ssh://root@elsewhere/system", "test:///default", "", "qemu:///x", "-h"]
)
def test_an_address_that_is_no_libvirt_of_this_machine_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="no libvirt of this machine") as refused:
        open_host("libvirt", address)
    assert "qemu:///system" in refused.value.hint


def test_a_logon_is_refused(lab: LibvirtLab) -> None:
    with pytest.raises(InvalidInput):
        open_host("libvirt", lab.address, Login("root", "secret"))


def test_a_libvirt_that_cannot_be_reached_is_told_with_its_socket() -> None:
    host = open_host("libvirt", "qemu+unix:///system?socket=/nonexistent/libvirt-sock")
    with pytest.raises(HostError, match=r"cannot be reached.*/nonexistent/libvirt-sock"):
        host.check()


def test_without_virsh_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unsupported) as refused:
        Virsh("qemu:///system").run("list")
    assert "libvirt-clients" in refused.value.hint


def test_a_vm_that_no_restore_made_is_no_ref_of_one(lab: LibvirtLab, host: Host, vm: str) -> None:
    for ref in ("00000000-0000-0000-0000-000000000000", vm.upper(), "web"):
        with pytest.raises(VmNotFound), host.open_vm(ref):
            pass
