"""What a VM of libvirt that runs from its restore point does that one of QEMU alone does not."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.flows import hosts, jobs, repositories
from restorium.flows.point_disks import PointDisk
from restorium.hosts.libvirt.instant import InstantLibvirtTarget
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.sessions import SessionResult
from tests.support.boots import SECTOR, boot_sector
from tests.support.flows import KEY, MIB, Site
from tests.support.instant import LibvirtEstate
from tests.support.labs import open_lab
from tests.support.labs.libvirt import LibvirtLab

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


def test_storage_that_fills_up_ends_the_restore(
    estate: LibvirtEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = Virsh.run

    def failing(virsh: Virsh, command: str, *arguments: str) -> str:
        """As libvirt does for a job that begins and fails at its first write."""
        if command != "blockpull":
            return ran(virsh, command, *arguments)
        monkeypatch.setattr(InstantLibvirtTarget, "free_bytes", lambda target: 0)
        return ""

    monkeypatch.setattr(Virsh, "run", failing)
    session = estate.site.restore_ended(estate.start())
    assert session.reason_code == "target-full"
    assert "'vda' of now cannot be moved" in session.reason
    estate.nothing_left()


def test_a_vm_of_another_platform_runs_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    machines = tmp_path / "machines"
    machines.mkdir()
    folder, lab = open_lab("image-folder", machines), LibvirtLab(tmp_path)
    try:
        content = boot_sector() + random.Random(3).randbytes(MIB - SECTOR)
        ref = folder.add_vm("web", {"system": content, "data": bytes(MIB)})
        libvirt = hosts.add(site.engine, "libvirt", "lab", lab.address)
        source = hosts.add(site.engine, "image-folder", "folder", folder.address)
        repository = repositories.add(site.engine, "main", (tmp_path / "vault").as_uri(), KEY)
        job = jobs.add(site.engine, "nightly", repository, [(source, ref)])
        site.engine.start()
        site.back_up(job)
        [point] = site.points()
        session_id = site.start_restore(
            point.id, keep_original=True, new_name="now", instant=True, host_id=libvirt
        )
        session = site.restore_ended(session_id)
        assert session.result is SessionResult.SUCCESS, session.reason
        assert lab.runs("now")
        lab.virsh("destroy", "now")
        first, second = lab.contents("now").values()
        assert (first[2 * SECTOR :], second) == (content[2 * SECTOR :], bytes(MIB))
        assert not lab.leftovers()
    finally:
        site.close()
        lab.close()
