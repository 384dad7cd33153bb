"""Backing up and restoring as a user sees it, on both databases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from restorium.catalog import points as point_rows
from restorium.catalog import repositories as repository_rows
from restorium.catalog.listing import Visibility
from restorium.flows import backup, repositories, restore
from restorium.vault import Key, Storage
from restorium.vocabulary.errors import Conflict, IllegalTransition, InvalidInput, NotFound, WrongKey
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState
from tests.support.flows import CALLER, MIB, Site, digest, files, make_vm, overwrite


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_points_restore_to_the_bytes_of_their_moment(site: Site, disk_format: str) -> None:
    disk = make_vm(site.images, "web", disk_format=disk_format)
    job_id = site.set_up(["web"])
    site.engine.start()

    first = site.back_up(job_id)
    moments = [digest(disk)]
    overwrite(disk, disk_format, 9 * MIB + 512, os.urandom(100_000))
    second = site.back_up(job_id)
    moments.append(digest(disk))
    assert moments[0] != moments[1]
    for session in (first, second):
        assert (session.state, session.result, session.progress) == (
            SessionState.STOPPED,
            SessionResult.SUCCESS,
            100,
        )
    full, increment = site.points("web")
    assert (full.point_type, full.algorithm) == ("Full", "Full")
    assert (increment.point_type, increment.algorithm) == ("Increment", "Incremental")
    assert first.restore_point_id == full.restore_point_id
    assert second.restore_point_id == increment.restore_point_id

    for number, point in enumerate([full, increment]):
        session = site.restore(point.id, keep_original=True, new_name=f"copy-{number}")
        assert (session.result, session.progress, session.phase) == (
            SessionResult.SUCCESS,
            100,
            RestorePhase.DONE,
        )
        assert session.restored_ref == f"copy-{number}"
        assert digest(site.images / f"copy-{number}.{disk_format}") == moments[number]
    assert digest(disk) == moments[1], "the original stays as it is"

    session = site.restore(full.id)
    assert (session.result, session.restored_ref) == (SessionResult.SUCCESS, "web")
    assert digest(disk) == moments[0], "the original is as it was"
    expected = {f"web.{disk_format}", f"copy-0.{disk_format}", f"copy-1.{disk_format}"}
    expected |= {"web.vm.toml", "copy-0.vm.toml", "copy-1.vm.toml"}
    assert files(site.images) == expected


def test_vm_of_several_disks_is_restored_whole(site: Site) -> None:
    disks = [make_vm(site.images, "root"), make_vm(site.images, "data", disk_format="qcow2", data_mib=2)]
    for name in ("root", "data"):
        (site.images / f"{name}.vm.toml").unlink()
    (site.images / "web.vm.toml").write_text(
        'name = "web"\n[[disk]]\nkey = "a"\nfile = "root.raw"\n[[disk]]\nkey = "b"\nfile = "data.qcow2"\n'
    )
    before, names = [digest(disk) for disk in disks], files(site.images)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    for disk, disk_format in zip(disks, ["raw", "qcow2"], strict=True):
        overwrite(disk, disk_format, 4 * MIB, os.urandom(4096))
    session = site.restore(site.points()[0].id)
    assert session.result is SessionResult.SUCCESS
    assert [digest(disk) for disk in disks] == before
    assert files(site.images) == names
    assert [(disk.disk_key, disk.result) for disk in site.disks(session.id)] == [
        ("a", SessionResult.SUCCESS),
        ("b", SessionResult.SUCCESS),
    ]


def test_sizes_say_what_was_read_and_what_it_took(site: Site) -> None:
    disk = make_vm(site.images, "web", size_mib=16, data_mib=4)
    job_id = site.set_up(["web"])
    site.engine.start()
    first = site.tasks(site.back_up(job_id).id)["web"]
    overwrite(disk, "raw", 10 * MIB, os.urandom(64 * 1024))
    second = site.tasks(site.back_up(job_id).id)["web"]
    assert first.total_bytes == second.total_bytes == 16 * MIB
    assert 4 * MIB < first.stored_bytes < 5 * MIB
    assert 64 * 1024 < second.stored_bytes < 512 * 1024

    with site.database.read() as connection:
        stored = {
            row.file_type: row
            for row in point_rows.file_listing.page(connection, visible=Visibility.everything())
        }
        repository = repository_rows.list_all(connection)[0]
    full, increment = stored["vbk"], stored["vib"]
    assert (full.backup_size, increment.backup_size) == (first.stored_bytes, second.stored_bytes)
    assert 4 * MIB < full.data_size < 8 * MIB
    assert full.data_size <= increment.data_size < 8 * MIB
    assert full.deduplication_ratio >= 100
    assert full.compress_ratio >= 100
    assert increment.deduplication_ratio > 1000
    assert full.name.startswith("webD")
    assert full.name.endswith(".vbk")
    assert Path(full.file_path.removeprefix("file://")).exists()
    assert 0 < repository.free_bytes <= repository.capacity_bytes


def test_events_tell_the_story_of_a_restore(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    assert "web is backed up" in site.events(site.back_up(job_id).id)[1]
    session = site.restore(site.points()[0].id, keep_original=True)
    told = site.events(session.id)
    assert "operator" in told[0]
    for word, event in zip(["Checked", "temporary", "Copied", "Verified", "stands"], told[1:], strict=False):
        assert word in event
    assert told[-1].endswith("Success.")
    [disk] = site.disks(session.id)
    assert disk.result is SessionResult.SUCCESS
    assert disk.copied_bytes == disk.verified_bytes == disk.planned_bytes == session.planned_bytes > 4 * MIB


def test_name_is_made_up_anew_for_each_restore_beside(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    [point] = site.points()
    refs = {site.restore(point.id, keep_original=True).restored_ref for _ in range(2)}
    assert len(refs) == 2
    assert all(ref.startswith("web-") for ref in refs)
    with pytest.raises(InvalidInput):
        restore.start(site.engine, RestoreSpec(point.id, new_name="other"), CALLER)


def test_power_on_that_no_image_folder_can_do_is_a_warning(site: Site) -> None:
    disk = make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    session = site.restore(site.points()[0].id, keep_original=True, new_name="on", power_on=True)
    assert (session.result, session.reason_code, session.progress) == (
        SessionResult.WARNING,
        "unsupported",
        100,
    )
    assert "not powered on" in session.reason
    assert digest(site.images / "on.raw") == digest(disk)


@pytest.mark.parametrize("disk_format", ["raw", pytest.param("qcow2", marks=pytest.mark.slow)])
def test_quick_rollback_fetches_only_what_differs_from_the_original(
    site: Site, disk_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = make_vm(site.images, "web", disk_format=disk_format)
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    before = digest(disk)
    overwrite(disk, disk_format, 5 * MIB, os.urandom(MIB))
    fetched: list[int] = []
    fetch = Storage.get_range

    def counted(storage: Storage, name: str, start: int, length: int) -> memoryview:
        fetched.append(length)
        return fetch(storage, name, start, length)

    monkeypatch.setattr(Storage, "get_range", counted)
    assert site.restore(site.points()[0].id, quick_rollback=True).result is SessionResult.SUCCESS
    assert digest(disk) == before
    assert sum(fetched) < 2 * MIB, "of 4 MiB of data 1 MiB differs"


@pytest.mark.slow
def test_quick_rollback_of_a_lost_original_restores_it_whole(site: Site) -> None:
    disk = make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    before = digest(disk)
    disk.unlink()
    session = site.restore(site.points()[0].id, quick_rollback=True)
    assert session.result is SessionResult.SUCCESS
    assert digest(disk) == before


def test_idempotency_key_asks_for_one_restore_only(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    spec = RestoreSpec(site.points()[0].id, keep_original=True, new_name="once")
    first = restore.start(site.engine, spec, CALLER, idempotency_key="k")
    assert site.restore_ended(first).result is SessionResult.SUCCESS
    assert restore.start(site.engine, spec, CALLER, idempotency_key="k") == first
    other = RestoreSpec(spec.vm_restore_point_id, keep_original=True, new_name="twice")
    with pytest.raises(Conflict):
        restore.start(site.engine, other, CALLER, idempotency_key="k")
    elsewhere = restore.start(site.engine, other, Caller("somebody else"), idempotency_key="k")
    assert site.restore_ended(elsewhere).result is SessionResult.SUCCESS
    assert {"once.raw", "twice.raw"} <= files(site.images)


def test_what_does_not_exist_cannot_be_started_or_cancelled(site: Site) -> None:
    nobody = uuid4()
    with pytest.raises(NotFound):
        restore.start(site.engine, RestoreSpec(nobody), CALLER)
    with pytest.raises(NotFound):
        backup.start(site.engine, nobody, CALLER)
    for cancel in (restore.cancel, backup.cancel):
        with pytest.raises(NotFound):
            cancel(site.engine, nobody)


def test_job_runs_once_at_a_time_and_ended_sessions_cannot_be_cancelled(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    session_id = backup.start(site.engine, job_id, CALLER)
    with pytest.raises(Conflict):
        backup.start(site.engine, job_id, CALLER)
    site.engine.start()
    assert site.job_ended(session_id).result is SessionResult.SUCCESS
    with pytest.raises(IllegalTransition):
        backup.cancel(site.engine, session_id)


def test_queued_sessions_are_cancelled_at_once(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    session_id = backup.start(site.engine, job_id, CALLER)
    backup.cancel(site.engine, session_id)
    session = site.job_session(session_id)
    assert (session.state, session.result, session.reason_code) == (
        SessionState.STOPPED,
        SessionResult.FAILED,
        "cancelled",
    )
    assert site.tasks(session_id)["web"].result is SessionResult.FAILED
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    assert len(site.points()) == 1


def test_existing_vault_is_opened_by_its_own_key_only(site: Site) -> None:
    make_vm(site.images, "web")
    site.set_up(["web"])
    url = (site.folder / "vault").as_uri()
    with pytest.raises(WrongKey):
        repositories.add(site.engine, "again", url, Key.passphrase("a guess"))
    with site.database.read() as connection:
        assert [row.name for row in repository_rows.list_all(connection)] == ["main"]
