"""What a VM of libvirt that runs from its restore point does that one of QEMU alone does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.flows.point_disks import PointDisk
from restorium.hosts.libvirt.instant import InstantLibvirtTarget
from restorium.hosts.libvirt.virsh import Virsh
from tests.support.flows import MIB, Site
from tests.support.instant import LibvirtEstate

pytestmark = pytest.mark.slow


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[LibvirtEstate]:
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    made = LibvirtEstate(tmp_path, site)
    yield made
    made.close()
    site.close()


def test_a_read_waits_for_the_server_and_meets_no_error(
    estate: LibvirtEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job a disk is enough although the server goes away twice: what each wanted to read, it got in the end."""
    ran, read = Virsh.run, PointDisk.read_into
    pulled, wanted, let = [], threading.Event(), threading.Event()

    def running(virsh: Virsh, command: str, *arguments: str) -> str:
        if command == "blockpull":
            pulled.append(arguments)
        return ran(virsh, command, *arguments)

    def reading(disk: PointDisk, offset: int, buffer: memoryview) -> None:
        if offset >= MIB:
            wanted.set()
            let.wait(60)
        read(disk, offset, buffer)

    monkeypatch.setattr(Virsh, "run", running)
    monkeypatch.setattr(PointDisk, "read_into", reading)
    session_id = estate.start()
    for _ in range(2):
        assert wanted.wait(60)
        estate.site.engine.stop()
        wanted.clear()
        estate.site.renew().start()
    let.set()
    estate.site.restore_ended(session_id)
    assert "restorium-" not in estate.lab.virsh("qemu-monitor-command", "now", "--hmp", "info block -n")
    estate.ends_rightly(session_id)
    assert len(pulled) == 2


@pytest.mark.parametrize(("free", "reason"), [(0, "target-full"), (1 << 40, "host")])
def test_a_disk_that_cannot_be_moved_ends_the_restore(
    estate: LibvirtEstate, monkeypatch: pytest.MonkeyPatch, free: int, reason: str
) -> None:
    ran = Virsh.run

    def failing(virsh: Virsh, command: str, *arguments: str) -> str:
        """As libvirt does for a job that begins and fails at its first write."""
        if command != "blockpull":
            return ran(virsh, command, *arguments)
        monkeypatch.setattr(InstantLibvirtTarget, "free_bytes", lambda target: free)
        return ""

    monkeypatch.setattr(Virsh, "run", failing)
    session = estate.site.restore_ended(estate.start())
    assert session.reason_code == reason
    assert "'vda' of now cannot be moved" in session.reason
    estate.nothing_left()
