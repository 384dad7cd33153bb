"""VMs that run from their restore point at once: a real guest, its disks read back without Restorium."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from restorium.flows import restore, restore_plan
from restorium.flows.point_disks import PointDisk
from restorium.flows.restore_record import RestoreRecord
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import DataCorrupt, InvalidInput, StorageUnavailable, Unsupported
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult
from tests.support.boots import powers_off
from tests.support.flows import MIB, Site, make_vm
from tests.support.instant import ESTATES, InstantEstate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


@pytest.fixture(params=list(ESTATES))
def estate(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> Iterator[InstantEstate]:
    made = ESTATES[request.param](tmp_path, site)
    yield made
    made.close()


@pytest.fixture
def held(estate: InstantEstate, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Disks are moved once the guest has booted, and what lies beyond their first MiB when this is set."""
    let = threading.Event()
    read, enter = PointDisk.read_into, RestoreRecord.enter

    def entering(record: RestoreRecord, phase: RestorePhase, *, restored_ref: str | None = None) -> None:
        enter(record, phase, restored_ref=restored_ref)
        if phase is RestorePhase.MOVING:
            wait_until(estate.booted, timeout=60)

    def waiting(disk: PointDisk, offset: int, buffer: memoryview) -> None:
        if offset >= MIB:
            let.wait(60)
        read(disk, offset, buffer)

    monkeypatch.setattr(RestoreRecord, "enter", entering)
    monkeypatch.setattr(PointDisk, "read_into", waiting)
    yield let
    let.set()


def test_the_vm_runs_first_and_has_its_disks_later(estate: InstantEstate, held: threading.Event) -> None:
    session_id = estate.start()
    wait_until(estate.booted, timeout=60)
    wait_until(lambda: estate.site.restore_session(session_id).phase is RestorePhase.MOVING)
    assert estate.site.restore_session(session_id).progress < 100
    assert not estate.listed(), "it cannot be seen before it is whole"
    held.set()
    session = estate.site.restore_ended(session_id)
    assert session.result is SessionResult.SUCCESS, session.reason
    assert estate.runs()
    told = " ".join(estate.site.events(session_id))
    for stage in (
        "are served to the VM",
        "The VM runs as now",
        "disks are the VM's own",
        f"stands on its host as {estate.ref}",
    ):
        assert stage in told
    assert [disk.digest for disk in estate.site.disks(session_id)] == [None, None], "nothing was read back"
    estate.ends_rightly(session_id)


def test_the_vm_can_be_backed_up_while_it_runs_under_its_final_name(estate: InstantEstate) -> None:
    session_id = estate.start()
    assert estate.site.restore_ended(session_id).result is SessionResult.SUCCESS
    wait_until(estate.booted, timeout=60)
    with estate.site.engine.host(estate.host_id).open_vm(estate.ref) as vm:
        content = bytearray(vm.readers[0].size)
        vm.readers[0].read_into(0, memoryview(content))
    assert content == estate.expected()[estate.first]
    estate.ends_rightly(session_id)


@pytest.mark.parametrize("stage", [RestorePhase.PREFLIGHT, RestorePhase.MOUNTED, RestorePhase.MOVING])
def test_a_cancel_at_any_stage_leaves_nothing(
    estate: InstantEstate, held: threading.Event, stage: RestorePhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go = threading.Event(), threading.Event()
    enter = RestoreRecord.enter

    def entering(record: RestoreRecord, phase: RestorePhase, *, restored_ref: str | None = None) -> None:
        enter(record, phase, restored_ref=restored_ref)
        if phase is stage:
            reached.set()
            go.wait(30)

    monkeypatch.setattr(RestoreRecord, "enter", entering)
    session_id = estate.start()
    assert reached.wait(30)
    restore.cancel(estate.site.engine, session_id)
    go.set()
    session = estate.site.restore_ended(session_id)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    estate.nothing_left()


@pytest.mark.parametrize("estate", ["qemu"], indirect=True)
def test_a_stop_of_the_server_lets_the_vm_wait_and_the_next_start_goes_on(
    estate: InstantEstate, held: threading.Event
) -> None:
    session_id = estate.start()
    wait_until(estate.booted, timeout=60)
    wait_until(lambda: estate.site.restore_session(session_id).phase is RestorePhase.MOVING)
    for _ in range(2):
        estate.site.engine.stop()
        assert estate.runs()
        estate.site.renew().start()
    held.set()
    estate.ends_rightly(session_id)


def test_storage_that_is_away_is_waited_for(
    estate: InstantEstate, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(storage: Storage, name: str, start: int, length: int) -> memoryview:
        raise StorageUnavailable("the storage does not answer")

    session_id = estate.start()
    wait_until(estate.booted, timeout=60)
    with monkeypatch.context() as patched:
        patched.setattr(Storage, "get_range", away)
        held.set()
        wait_until(lambda: "waits for the repository" in " ".join(estate.site.events(session_id)), timeout=30)
        assert estate.runs()
    estate.ends_rightly(session_id)


def test_data_that_is_lost_ends_the_restore_and_says_what_is_lost(
    estate: InstantEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PointDisk.read_into

    def damaged(disk: PointDisk, offset: int, buffer: memoryview) -> None:
        if offset <= 5 * MIB < offset + len(buffer):
            raise DataCorrupt("chunk 17 does not match its digest")
        read(disk, offset, buffer)

    monkeypatch.setattr(PointDisk, "read_into", damaged)
    session = estate.site.restore_ended(estate.start())
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "data-corrupt")
    assert "chunk 17" in session.reason
    estate.nothing_left()


def test_a_vm_that_is_ended_from_outside_is_no_success(estate: InstantEstate, held: threading.Event) -> None:
    session_id = estate.start()
    wait_until(lambda: any(disk.copied_bytes for disk in estate.site.disks(session_id)), timeout=60)
    estate.kill()
    held.set()
    session = estate.site.restore_ended(session_id)
    assert session.result is SessionResult.FAILED
    assert "ended before its disks were its own" in session.reason
    estate.nothing_left()


@pytest.mark.parametrize("kind", ESTATES)
def test_a_guest_that_powers_itself_off_has_its_disks_and_is_off(
    kind: str, tmp_path: Path, site: Site
) -> None:
    estate = ESTATES[kind](tmp_path, site, powers_off())
    try:
        session = site.restore_ended(estate.start())
        assert session.result is SessionResult.SUCCESS, session.reason
        wait_until(lambda: not estate.runs())
        assert estate.lab.contents(estate.ref) == estate.before
        assert not estate.lab.leftovers()
    finally:
        estate.close()


def test_what_cannot_be_is_refused_when_it_is_asked_for(tmp_path: Path, site: Site) -> None:
    with pytest.raises(InvalidInput, match="beside the original"):
        RestoreSpec(uuid4(), instant=True)
    make_vm(site.images, "web", data_mib=1)
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    [point] = site.points()
    spec = RestoreSpec(point.id, keep_original=True, instant=True)
    with pytest.raises(Unsupported, match="lab cannot run a VM from its restore point"):
        site.start_restore(point.id, keep_original=True, instant=True)
    with pytest.raises(Unsupported):
        restore_plan.plan(site.engine, spec, lambda *_: None, lambda: False)


@pytest.mark.parametrize("estate", ["qemu"], indirect=True)
def test_a_dry_run_tells_what_it_would_do_and_leaves_nothing(estate: InstantEstate) -> None:
    spec = RestoreSpec(estate.point, keep_original=True, new_name="now", instant=True)
    plan = restore_plan.plan(estate.site.engine, spec, lambda *_: None, lambda: False)
    assert (plan.ok, plan.target_name) == (True, "now")
    estate.nothing_left()
