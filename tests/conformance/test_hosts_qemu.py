"""What is QEMU's own: real machines under TCG, held against what QEMU itself says and what its images hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from restorium.hosts import open_host, room
from restorium.hosts.interface import Chain, Extent, Host
from restorium.hosts.qemu import daemon
from restorium.vocabulary.errors import HostError
from tests.support.disks import MIB, qemu_img, read_all
from tests.support.labs.qemu import QemuLab
from tests.support.tracking import backed_up, changes, piece_at
from tests.support.waiting import wait_until
from tests.support.writers import FIRST, RING, SECTOR, one_moment, writing_sector

pytestmark = pytest.mark.slow

_CONTENTS = {"disk0": b"a" * MIB + bytes(7 * MIB), "disk1": bytes(2 * MIB)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[QemuLab]:
    made = QemuLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: QemuLab) -> Host:
    return open_host("qemu", lab.address)


@pytest.fixture
def vm(lab: QemuLab) -> str:
    return lab.add_vm("web", _CONTENTS)


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_chains_of_one_vm_do_not_disturb_each_other(lab: QemuLab, host: Host, vm: str, runs: bool) -> None:
    if runs:
        lab.start(vm)
    nightly, weekly = backed_up(host, vm), backed_up(host, vm, "weekly")
    lab.write(vm, "disk0", 3 * MIB, b"x" * 4096)
    changed, _ = changes(host, vm, nightly)
    assert changed == {"disk0": piece_at(3 * MIB), "disk1": []}
    nightly = backed_up(host, vm, since=nightly)
    lab.write(vm, "disk0", 5 * MIB, b"x" * 4096)
    assert changes(host, vm, nightly)[0]["disk0"] == piece_at(5 * MIB)
    assert changes(host, vm, weekly, "weekly")[0]["disk0"] == piece_at(3 * MIB) + piece_at(5 * MIB)


def test_changes_are_known_over_a_start_and_a_shutdown(lab: QemuLab, host: Host, vm: str) -> None:
    since = backed_up(host, vm)
    lab.write(vm, "disk0", 2 * MIB, b"x")
    lab.start(vm)
    lab.write(vm, "disk0", 4 * MIB, b"x")
    since_running = backed_up(host, vm, since=since)
    lab.write(vm, "disk1", MIB, b"x")
    lab.stop(vm)
    assert changes(host, vm, since_running)[0] == {"disk0": [], "disk1": piece_at(MIB)}


def test_what_a_backup_that_was_not_kept_saw_is_told_again(lab: QemuLab, host: Host, vm: str) -> None:
    lab.start(vm)
    kept = backed_up(host, vm)
    lab.write(vm, "disk0", 2 * MIB, b"x")
    backed_up(host, vm, since=kept)
    lab.write(vm, "disk0", 4 * MIB, b"x")
    assert changes(host, vm, kept)[0]["disk0"] == piece_at(2 * MIB) + piece_at(4 * MIB)


def test_a_chain_leaves_two_bitmaps_a_disk_at_most(lab: QemuLab, host: Host, vm: str) -> None:
    since = backed_up(host, vm)
    for _ in range(3):
        since = backed_up(host, vm, since=since)
    assert len(lab.bitmaps(vm)) == 2 * len(_CONTENTS)


@pytest.mark.parametrize(
    ("at_backup", "reason"), [("off", "not whole"), ("running", "lost its list of changes")]
)
def test_after_qemu_was_killed_the_disks_are_read_whole_and_then_tracked_again(
    lab: QemuLab, host: Host, vm: str, at_backup: str, reason: str
) -> None:
    if at_backup == "running":
        lab.start(vm)
    since = backed_up(host, vm)
    if at_backup == "off":
        lab.start(vm)
    lab.kill(vm)
    changed, why = changes(host, vm, since)
    assert changed == {"disk0": None, "disk1": None}
    assert reason in str(why["disk0"])
    since = backed_up(host, vm, since=since)
    lab.write(vm, "disk0", MIB, b"x")
    assert changes(host, vm, since)[0] == {"disk0": piece_at(MIB), "disk1": []}


def test_a_disk_put_back_to_an_earlier_copy_is_read_whole(lab: QemuLab, host: Host, vm: str) -> None:
    since = backed_up(host, vm)
    copy = lab.folder.parent / "copy"
    shutil.copy(lab.file(vm, "disk0"), copy)
    lab.write(vm, "disk0", MIB, b"x")
    since = backed_up(host, vm, since=since)
    shutil.copy(copy, lab.file(vm, "disk0"))
    changed, why = changes(host, vm, since)
    assert changed == {"disk0": None, "disk1": []}
    assert "not the disk of the last backup" in str(why["disk0"])


def test_a_disk_with_internal_snapshots_is_read_whole_and_can_go_back_to_them(
    lab: QemuLab, host: Host, vm: str
) -> None:
    since = backed_up(host, vm)
    qemu_img("snapshot", "-c", "before", lab.file(vm, "disk0"))
    changed, why = changes(host, vm, since)
    assert changed == {"disk0": None, "disk1": []}
    assert "internal snapshots" in str(why["disk0"])
    lab.write(vm, "disk0", MIB, b"y")
    qemu_img("snapshot", "-a", "before", lab.file(vm, "disk0"))
    assert lab.contents(vm) == _CONTENTS


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_a_disk_that_grew_is_read_whole(lab: QemuLab, host: Host, vm: str, runs: bool) -> None:
    if runs:
        lab.start(vm)
    since = backed_up(host, vm)
    if runs:
        with lab.qmp(vm) as qmp:
            device = lab.device(qmp, lab.file(vm, "disk0"))
            qmp.execute("block_resize", {"device": device, "size": 9 * MIB})
    else:
        qemu_img("resize", lab.file(vm, "disk0"), "9M")
    with host.open_vm(vm, Chain("nightly", since)) as opened:
        assert opened.tracked["disk0"].changed is None
        assert "8,388,608" in str(opened.tracked["disk0"].why)
        assert opened.tracked["disk1"].changed == []
        assert [disk.size for disk in opened.description.disks] == [9 * MIB, 2 * MIB]
        assert read_all(opened.readers[0]) == _CONTENTS["disk0"] + bytes(MIB)


def test_a_disk_that_is_added_is_read_whole_alone(lab: QemuLab, host: Host, vm: str) -> None:
    since = backed_up(host, vm)
    qemu_img("create", "-q", "-f", "qcow2", lab.folder / "added.qcow2", "1M")
    with (lab.folder / f"{vm}.vm.toml").open("a") as file:
        file.write('\n[[disk]]\nkey = "added"\nfile = "added.qcow2"\n')
    changed, why = changes(host, vm, since)
    assert changed == {"disk0": [], "disk1": [], "added": None}
    assert why["added"] is None, "nothing was lost"


def test_a_raw_disk_is_tracked_as_long_as_the_vm_runs(lab: QemuLab, host: Host) -> None:
    (lab.folder / "plain.raw").write_bytes(bytes(MIB))
    (lab.folder / "raw.vm.toml").write_text(
        'name = "raw"\n[[disk]]\nkey = "disk0"\nfile = "plain.raw"\nformat = "raw"\n'
    )
    assert backed_up(host, "raw") == {}
    lab.start("raw")
    since = backed_up(host, "raw")
    lab.write("raw", "disk0", 0, b"x" * 512)
    assert changes(host, "raw", since)[0]["disk0"] == piece_at(0)
    lab.stop("raw")
    changed, why = changes(host, "raw", since)
    assert changed == {"disk0": None}
    assert why["disk0"]


def test_without_qemu_storage_daemon_a_vm_that_is_off_is_read_whole(
    lab: QemuLab, host: Host, vm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = backed_up(host, vm)
    monkeypatch.setattr(daemon, "find", lambda _program: None)
    changed, why = changes(host, vm, since)
    assert changed == {"disk0": None, "disk1": None}
    assert why["disk0"]


def test_a_paused_vm_is_backed_up_and_stays_paused(lab: QemuLab, host: Host, vm: str) -> None:
    lab.start(vm, "-S")
    with host.open_vm(vm) as opened:
        assert read_all(opened.readers[0]) == _CONTENTS["disk0"]
    assert not lab.runs(vm)
    host.power_on(vm)
    assert lab.runs(vm)


def test_a_point_of_a_guest_that_writes_is_one_moment_of_both_disks(lab: QemuLab, host: Host) -> None:
    size = (FIRST + RING) * SECTOR
    ref = lab.add_vm("busy", {"disk0": writing_sector() + bytes(size - SECTOR), "disk1": bytes(size)})
    lab.start(ref)

    wait_until(lambda: _blocks_written(lab, ref), timeout=60)
    seen = 0
    for _ in range(4):
        with host.open_vm(ref) as opened:
            began = _blocks_written(lab, ref)
            wait_until(partial(_has_written, lab, ref, began + 200), timeout=60)
            seen = one_moment(opened.readers, seen)
    assert lab.runs(ref)
    assert not lab.leftovers()


def _has_written(lab: QemuLab, ref: str, count: int) -> bool:
    return _blocks_written(lab, ref) > count


def _blocks_written(lab: QemuLab, ref: str) -> int:
    with lab.qmp(ref) as qmp:
        return sum(device["stats"]["wr_operations"] for device in qmp.execute("query-blockstats"))


_DYING = """
import os, signal, sys
from restorium.hosts import open_host, room
from restorium.hosts.interface import Chain
with open_host("qemu", sys.argv[1]).open_vm(sys.argv[2], Chain("nightly", {})) as opened:
    opened.readers[0].read_into(0, memoryview(bytearray(65536)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _die_in_backup(lab: QemuLab, ref: str) -> None:
    died = subprocess.run(
        [sys.executable, "-c", _DYING, lab.address, ref],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -9, died.stderr


def test_what_a_crash_leaves_in_a_running_vm_is_removed_by_the_next_backup(
    lab: QemuLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    since = backed_up(host, vm)
    _die_in_backup(lab, vm)
    assert lab.leftovers(), "this test sees what is left"
    lab.write(vm, "disk0", MIB, b"x" * 512)
    with host.open_vm(vm, Chain("nightly", since)) as opened:
        assert read_all(opened.readers[0])[MIB : MIB + 512] == b"x" * 512
    assert not lab.leftovers()
    assert lab.runs(vm)


def test_a_crash_while_a_vm_is_off_leaves_its_bitmaps_whole(lab: QemuLab, host: Host, vm: str) -> None:
    weekly = backed_up(host, vm, "weekly")
    _die_in_backup(lab, vm)
    wait_until(lambda: "in-use" not in qemu_img("info", "-U", lab.file(vm, "disk0")))
    lab.write(vm, "disk0", MIB, b"x")
    assert changes(host, vm, weekly, "weekly")[0]["disk0"] == piece_at(MIB)
    assert not lab.leftovers()


def test_a_vm_is_read_by_one_at_a_time(lab: QemuLab, host: Host, vm: str) -> None:
    lab.start(vm)
    with host.open_vm(vm, Chain("nightly", {})) as opened:
        with pytest.raises(HostError, match="another backup"), host.open_vm(vm, Chain("weekly", {})):
            pass
        assert read_all(opened.readers[0]) == _CONTENTS["disk0"]


def test_a_vm_whose_qemu_ends_meanwhile_is_an_error_and_leaves_nothing(
    lab: QemuLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    with pytest.raises(HostError, match="QEMU of web"), host.open_vm(vm, Chain("nightly", {})) as opened:
        lab.kill(vm)
        read_all(opened.readers[0])
    assert not lab.leftovers()
    with host.open_vm(vm) as opened:
        assert read_all(opened.readers[0]) == _CONTENTS["disk0"]


def test_a_vm_goes_on_unharmed_when_no_room_is_left_for_what_it_overwrites(
    lab: QemuLab, host: Host, vm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.start(vm)
    with pytest.raises(HostError, match="MiB are free"), host.open_vm(vm, Chain("nightly", {})) as opened:
        monkeypatch.setattr(room, "RESERVE", 1 << 60)
        wait_until(lambda: not lab.leftovers())
        read_all(opened.readers[0])
    assert lab.runs(vm)
    with pytest.raises(HostError, match="MiB are free"), host.open_vm(vm):
        pass
    assert not lab.leftovers()


def test_what_is_on_the_socket_is_told(lab: QemuLab, host: Host, vm: str) -> None:
    lab.start(vm)
    with lab.qmp(vm), pytest.raises(HostError, match="does not answer") as busy, host.open_vm(vm):
        pass
    assert "one program at a time" in busy.value.hint
    with lab.qmp(vm) as qmp:
        address = {"type": "unix", "data": {"path": str(Path("/tmp") / f"{vm}-{id(qmp)}")}}
        qmp.execute("nbd-server-start", {"addr": address})
    with pytest.raises(HostError, match="NBD server") as used, host.open_vm(vm):
        pass
    assert "Another program" in used.value.hint
    with lab.qmp(vm) as qmp:
        qmp.execute("nbd-server-stop")
    assert not lab.leftovers()
    with host.open_vm(vm):
        pass


def test_a_restore_over_a_running_vm_takes_its_power_only_when_it_is_finalised(
    lab: QemuLab, host: Host, vm: str
) -> None:
    lab.start(vm)
    with host.open_vm(vm) as opened:
        description = opened.description
    target = host.restore_target(description, attempt="a1", original_ref=vm, new_name=None)
    for disk in description.disks:
        with target.create_disk(disk, [Extent(0, disk.size, hole=False)]) as writer:
            writer.write(0, b"r" * disk.size)
            writer.flush()
        assert lab.runs(vm)
    with host.restore_target(description, attempt="a1", original_ref=vm, new_name=None).read_disk(
        description.disks[0]
    ) as reader:
        assert read_all(reader) == b"r" * (8 * MIB)
    assert lab.runs(vm)
    assert target.finalise() == vm
    assert not lab.runs(vm)
    assert lab.contents(vm) == {disk.key: b"r" * disk.size for disk in description.disks}
    assert not lab.leftovers()


def test_a_restore_that_is_discarded_leaves_the_vm_running(lab: QemuLab, host: Host, vm: str) -> None:
    lab.start(vm)
    with host.open_vm(vm) as opened:
        description = opened.description
    target = host.restore_target(description, attempt="a1", original_ref=vm, new_name=None)
    target.create_disk(description.disks[0], [Extent(0, 8 * MIB, hole=True)]).close()
    with pytest.raises(HostError, match="disk1"):
        target.finalise()
    target.discard()
    assert lab.runs(vm)
    assert lab.contents(vm) == _CONTENTS
    assert not lab.leftovers()


def test_a_socket_is_not_given_to_the_copy_of_a_vm(lab: QemuLab, host: Host, vm: str) -> None:
    path = lab.folder / f"{vm}.vm.toml"
    path.write_text('qmp = "web.qmp"\n' + path.read_text())
    with host.open_vm(vm) as opened:
        description = opened.description
    target = host.restore_target(description, attempt="a1", original_ref=vm, new_name="copy")
    for disk in description.disks:
        target.create_disk(disk, [Extent(0, disk.size, hole=True)]).close()
    target.finalise()
    host.power_on(vm)
    host.power_on("copy")
    host.remove_restored("copy", "a1")
    assert lab.runs(vm)
    assert sorted(file.name for file in lab.folder.iterdir() if file.name.startswith("copy")) == []
