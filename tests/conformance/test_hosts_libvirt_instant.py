"""What a VM of libvirt that runs from its restore point does that one of QEMU alone does not."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from restorium.flows import hosts, jobs, repositories, restore
from restorium.flows.point_disks import PointDisk
from restorium.hosts.interface import InstantHost
from restorium.hosts.libvirt import instant
from restorium.hosts.libvirt.instant import InstantLibvirtTarget
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.sessions import RestorePhase, SessionResult
from tests.support.boots import SECTOR, boot_sector
from tests.support.flows import KEY, MIB, Site
from tests.support.instant import LibvirtEstate
from tests.support.labs import open_lab
from tests.support.labs.libvirt import LibvirtLab
from tests.support.waiting import wait_until

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


def test_a_vm_whose_qemu_answers_nothing_can_be_cancelled(
    estate: LibvirtEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that resets its disks waits for what is being read, and QEMU and libvirt with it."""
    read, wanted, let = PointDisk.read_into, threading.Event(), threading.Event()

    def reading(disk: PointDisk, offset: int, buffer: memoryview) -> None:
        if offset >= MIB:
            wanted.set()
            let.wait(60)
        read(disk, offset, buffer)

    monkeypatch.setattr(PointDisk, "read_into", reading)
    monkeypatch.setattr(instant, "_LOOK_SECONDS", 1.0)
    session_id = estate.start()
    assert wanted.wait(60)
    resetting = threading.Thread(target=lambda: estate.lab.works("reset", "now"))
    resetting.start()
    wait_until(lambda: not estate.lab.works("domblkstat", "now", "vda", seconds=1))
    assert estate.site.restore_session(session_id).phase is RestorePhase.MOVING
    restore.cancel(estate.site.engine, session_id)
    assert estate.site.restore_ended(session_id).reason_code == "cancelled"
    let.set()
    resetting.join()
    estate.nothing_left()


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


def test_a_folder_too_deep_for_a_socket_is_told_before_anything_is_made(estate: LibvirtEstate) -> None:
    deep = estate.machines / ("deep" * 10)
    deep.mkdir()
    host = estate.site.engine.host(estate.host_id)
    with host.open_vm(host.inventory()[0].ref) as opened:
        described = replace(opened.description, settings={**opened.description.settings, "folder": str(deep)})
    assert isinstance(host, InstantHost)
    with pytest.raises(InvalidInput, match="too long for a socket") as refused:
        host.instant_target(described, attempt=str(uuid4()), new_name="now").probe()
    assert "shorter by" in refused.value.hint
    assert not list(deep.iterdir())


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


def test_a_vm_that_ends_while_it_is_asked_is_told_as_ended(
    estate: LibvirtEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, killed = Virsh.run, threading.Event()

    def running(virsh: Virsh, command: str, *arguments: str) -> str:
        if command == "blockjob" and not killed.is_set():
            killed.set()
            estate.kill()
        return ran(virsh, command, *arguments)

    monkeypatch.setattr(Virsh, "run", running)
    session = estate.site.restore_ended(estate.start())
    assert session.result is SessionResult.FAILED
    assert "ended before its disks were its own" in session.reason
    estate.nothing_left()
