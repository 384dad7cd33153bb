"""Machines that boot in QEMU: a marker is seen, disks stay as they are, and none is left running."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from restorium import emulator
from restorium.emulator import Machine, boot, find_qemu, pattern
from restorium.vocabulary.errors import Cancelled, HostError, InvalidInput, Unsupported
from tests.support.boots import MARKER, boot_sector
from tests.support.disks import MIB, write_image
from tests.support.waiting import wait_until

needs_qemu = pytest.mark.skipif(find_qemu() is None, reason="QEMU for x86 is not installed")
SMALL = Machine(seconds=60, memory_mib=64, cpus=1)


@needs_qemu
@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "vhdx"])
def test_marker_is_seen_and_the_disk_stays_as_it_is(tmp_path: Path, image_format: str) -> None:
    disk = tmp_path / f"a, b:c.{image_format}"
    write_image(disk, boot_sector() + bytes(MIB), image_format)
    before = disk.read_bytes()
    booted = boot([(disk, image_format)], pattern(f"{MARKER}\\s"), SMALL)
    assert (booted.seen, booted.ended) == (True, False)
    assert booted.seconds < SMALL.seconds
    assert MARKER in booted.console
    assert disk.read_bytes() == before, "the guest has written to its disk, which is not this file"
    assert list(tmp_path.iterdir()) == [disk]


@needs_qemu
def test_what_does_not_boot_ends_with_its_time(tmp_path: Path) -> None:
    disk = tmp_path / "empty.raw"
    disk.write_bytes(bytes(MIB))
    booted = boot([(disk, "raw")], pattern(MARKER), Machine(0.5, 64, 1))
    assert (booted.seen, booted.ended) == (False, False)


@needs_qemu
def test_machine_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"none\.raw"):
        boot([(tmp_path / "none.raw", "raw")], pattern(MARKER), SMALL)


@needs_qemu
def test_cancel_ends_it(tmp_path: Path) -> None:
    disk = tmp_path / "empty.raw"
    disk.write_bytes(bytes(MIB))
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        boot([(disk, "raw")], pattern(MARKER), SMALL, cancelled=lambda: next(answers))


@needs_qemu
def test_no_machine_outlives_its_parent(tmp_path: Path) -> None:
    disk = tmp_path / "empty.raw"
    disk.write_bytes(bytes(MIB))
    child = subprocess.Popen([sys.executable, "-m", "tests.support.boot_child", disk])
    try:
        wait_until(lambda: any(_has_unnamed_file(each, tmp_path) for each in _machines(disk)), timeout=30)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    wait_until(lambda: not _machines(disk))
    assert list(tmp_path.iterdir()) == [disk]


def test_without_qemu_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="not installed"):
        boot([(tmp_path / "disk.raw", "raw")], pattern(MARKER), SMALL)


def test_more_disks_than_the_machine_takes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator.qemu, "find_qemu", lambda: tmp_path / "qemu")
    with pytest.raises(Unsupported, match="5 disks"):
        boot([(tmp_path / f"{number}.raw", "raw") for number in range(5)], pattern(MARKER), SMALL)


@pytest.mark.parametrize("marker", ["(", "", "a*", "\ud800"])
def test_markers_that_say_nothing_are_refused(marker: str) -> None:
    with pytest.raises(InvalidInput):
        pattern(marker)


def _has_unnamed_file(process_id: int, folder: Path) -> bool:
    """Of the folder, as that is which QEMU writes to in place of the disk a moment after its start."""
    with suppress(OSError):
        links = [str(link.readlink()) for link in Path(f"/proc/{process_id}/fd").iterdir()]
        return any(link.startswith(f"{folder}/") and link.endswith(" (deleted)") for link in links)
    return False


def _machines(disk: Path) -> list[int]:
    """Process ids of programs that have the disk on their command line, but Python."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if process.name.isdigit() and b"qemu-system" in command.split(b"\0")[0] and bytes(disk) in command:
            found.append(int(process.name))
    return found
