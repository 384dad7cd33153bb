"""What goes wrong ends a session with a reason, takes nothing else with it, and leaves no files behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from restorium.catalog import hosts as host_rows
from restorium.catalog import repositories as repository_rows
from restorium.flows import backup, durable, hosts, inventory, jobs, repositories, restore, restoring
from restorium.flows.capturing import Capturing
from restorium.flows.restore_record import RestoreRecord
from restorium.flows.restore_source import RestoreSource
from restorium.flows.sessions import SessionFlows
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.vault import BackupWriter, DiskRecord, Vault
from restorium.vocabulary.errors import Conflict, HostError, InvalidInput, NotFound, VmNotFound
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.flows import CALLER, KEY, MIB, Site, digest, files, make_vm, overwrite

pytestmark = pytest.mark.slow

_WINDOW = MIB


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def point(site: Site) -> UUID:
    """A restore point of a VM web; the engine runs."""
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    point_id: UUID = site.points()[0].id
    return point_id


def _packs(site: Site) -> list[Path]:
    return [
        path for path in (site.folder / "vault").rglob("*") if path.is_file() and path.stat().st_size > MIB
    ]


def test_vm_whose_disk_is_missing_does_not_take_the_others_with_it(site: Site) -> None:
    lost = make_vm(site.images, "db")
    kept = make_vm(site.images, "web")
    job_id = site.set_up(["db", "web"])
    lost.unlink()
    site.engine.start()
    session = site.back_up(job_id)
    assert (session.state, session.result, session.progress) == (
        SessionState.STOPPED,
        SessionResult.WARNING,
        100,
    )
    assert (session.reason_code, "db: " in session.reason) == ("disk-missing", True)
    assert session.hint
    tasks = site.tasks(session.id)
    assert (tasks["db"].result, tasks["db"].reason_code) == (SessionResult.FAILED, "disk-missing")
    assert (tasks["web"].result, tasks["web"].reason_code) == (SessionResult.SUCCESS, None)
    [made] = site.points()
    assert (made.vm_name, made.restore_point_id) == ("web", session.restore_point_id)
    assert site.restore(made.id, keep_original=True, new_name="copy").result is SessionResult.SUCCESS
    assert digest(site.images / "copy.raw") == digest(kept)


def test_wrong_list_of_changes_is_told_and_the_disk_read_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    write_disk = BackupWriter.write_disk

    def listed(writer: BackupWriter, *arguments: Any, **options: Any) -> DiskRecord:
        return write_disk(writer, *arguments, **{**options, "changed": []})

    monkeypatch.setattr(BackupWriter, "write_disk", listed)
    overwrite(disk, "raw", 4 * MIB, b"changed, and nobody said so")
    session = site.back_up(job_id)
    assert session.result is SessionResult.SUCCESS
    [told] = [event for event in site.events(session.id) if "list of changes" in event]
    assert told.startswith(
        "Disk disk0 of web was read whole, for its list of changes is wrong: bytes 4194304 to "
    )
    assert (
        site.restore(site.points()[-1].id, keep_original=True, new_name="copy").result
        is SessionResult.SUCCESS
    )
    assert digest(site.images / "copy.raw") == digest(disk)


def test_damaged_disk_fails_the_run_and_makes_no_point(site: Site) -> None:
    disk = make_vm(site.images, "db", disk_format="qcow2")
    job_id = site.set_up(["db"])
    os.truncate(disk, disk.stat().st_size // 2)
    site.engine.start()
    session = site.back_up(job_id)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "disk-damaged")
    assert session.restore_point_id is None
    assert site.points() == []


def test_disk_shorter_than_its_description_fails_the_run(site: Site) -> None:
    disk = make_vm(site.images, "db")
    with (site.images / "db.vm.toml").open("a") as description:
        description.write(f"size = {disk.stat().st_size}\n")
    job_id = site.set_up(["db"])
    os.truncate(disk, disk.stat().st_size // 2)
    site.engine.start()
    session = site.back_up(job_id)
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.FAILED)
    assert (session.reason_code, str(disk.name) in session.reason) == ("disk-damaged", True)
    assert site.points() == []


def test_full_repository_fails_with_the_remedy_and_keeps_its_points(site: Site) -> None:
    first = make_vm(site.images, "web", data_mib=1)
    make_vm(site.images, "zoo", data_mib=8)
    job_id = site.set_up(["web", "zoo"], quota_bytes=5 * MIB)
    site.engine.start()
    session = site.back_up(job_id)
    assert (session.result, session.reason_code) == (SessionResult.WARNING, "repository-full")
    assert "raise its capacity" in session.hint
    [made] = site.points()
    assert site.restore(made.id, keep_original=True, new_name="copy").result is SessionResult.SUCCESS
    assert digest(site.images / "copy.raw") == digest(first)


def test_lost_pack_fails_the_restore_before_it_writes(site: Site, point: UUID) -> None:
    for pack in _packs(site):
        pack.unlink()
    before = files(site.images)
    session = site.restore(point, keep_original=True)
    assert (session.state, session.result, session.reason_code) == (
        SessionState.STOPPED,
        SessionResult.FAILED,
        "chunk-missing",
    )
    assert "disk0" in session.reason
    assert session.hint
    assert session.progress < 100
    [disk] = site.disks(session.id)
    assert (disk.result, "no pack" in disk.reason) == (SessionResult.FAILED, True)
    assert files(site.images) == before


def test_damaged_pack_fails_the_restore_and_leaves_the_original(site: Site, point: UUID) -> None:
    before, names = digest(site.images / "web.raw"), files(site.images)
    for pack in _packs(site):
        content = bytearray(pack.read_bytes())
        content[MIB] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)
    session = site.restore(point)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "data-corrupt")
    [disk] = site.disks(session.id)
    assert disk.result is SessionResult.FAILED
    assert digest(site.images / "web.raw") == before
    assert files(site.images) == names


def test_name_that_is_taken_fails_and_touches_nothing(site: Site, point: UUID) -> None:
    make_vm(site.images, "taken")
    before, names = digest(site.images / "taken.raw"), files(site.images)
    session = site.restore(point, keep_original=True, new_name="taken")
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "target-exists")
    assert digest(site.images / "taken.raw") == before
    assert files(site.images) == names


def test_name_taken_while_the_restore_ran_fails_and_leaves_what_took_it(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalise = ImageFolderTarget.finalise

    def late(target: ImageFolderTarget, left_out: Collection[str]) -> str:
        (site.images / "copy.raw").write_bytes(b"somebody else's")
        return finalise(target, left_out)

    monkeypatch.setattr(ImageFolderTarget, "finalise", late)
    names = files(site.images)
    session = site.restore(point, keep_original=True, new_name="copy")
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "target-exists")
    assert session.progress == 99
    assert files(site.images) == names | {"copy.raw"}
    assert (site.images / "copy.raw").read_bytes() == b"somebody else's"


def test_target_without_room_fails_before_it_writes(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFolderTarget, "free_bytes", lambda target: MIB)
    names = files(site.images)
    session = site.restore(point, keep_original=True)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "target-full")
    assert f"{MIB:,}" in session.reason
    assert files(site.images) == names


def test_what_reads_back_otherwise_is_not_finalised(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Vault.verify_disk

    def spoilt(vault: Vault, disk: Any, reader: Any, **options: Any) -> None:
        [written] = [path for path in site.images.rglob("*") if path.is_file() and path.name not in names]
        with written.open("r+b") as file:
            file.seek(2 * MIB)
            file.write(b"bad sector")
        verify(vault, disk, reader, **options)

    names = files(site.images)
    monkeypatch.setattr(Vault, "verify_disk", spoilt)
    session = site.restore(point)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "verification-failed")
    assert session.progress < 100
    assert files(site.images) == names


def test_repository_that_goes_away_in_mid_restore_fails_it_and_the_next_one_succeeds(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vm(site.images, "web", size_mib=96, data_mib=64)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    copied, vault, away = RestoreRecord.copied, site.folder / "vault", site.folder / "away"

    def unplugging(record: RestoreRecord, disk_key: str, **reached: int) -> None:
        copied(record, disk_key, **reached)
        if vault.exists():
            vault.rename(away)

    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", _WINDOW)
    monkeypatch.setattr(RestoreRecord, "copied", unplugging)
    names, before = files(site.images), digest(site.images / "web.raw")
    point_id = site.points()[0].id
    session = site.restore(point_id)
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.FAILED)
    assert session.reason_code == "chunk-missing"
    assert session.hint
    assert 0 < session.progress < 100
    assert files(site.images) == names
    assert digest(site.images / "web.raw") == before
    away.rename(vault)
    monkeypatch.setattr(RestoreRecord, "copied", copied)
    assert site.restore(point_id).result is SessionResult.SUCCESS
    assert digest(site.images / "web.raw") == before


def test_host_that_fails_in_mid_restore_ends_it_and_the_next_one_succeeds(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = os.pwrite, 0

    def failing(file: int, data: Any, offset: int) -> int:
        nonlocal written
        if "/images/" not in str(Path(f"/proc/self/fd/{file}").readlink()):
            return write(file, data, offset)
        written += len(data)
        if written > 2 * MIB:
            raise OSError(errno.EIO, "Input/output error")
        return write(file, data, offset)

    names, before = files(site.images), digest(site.images / "web.raw")
    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", failing)
        session = site.restore(point)
    assert written > 2 * MIB
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.FAILED)
    assert session.reason_code != "internal"
    assert session.hint
    assert files(site.images) == names
    assert digest(site.images / "web.raw") == before
    assert site.restore(point).result is SessionResult.SUCCESS


def test_unexpected_error_ends_the_restore_as_internal(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    names = files(site.images)
    monkeypatch.setattr(Vault, "restore_disk", broken)
    session = site.restore(point, keep_original=True)
    assert (session.state, session.result, session.reason_code) == (
        SessionState.STOPPED,
        SessionResult.FAILED,
        "internal",
    )
    assert "ZeroDivisionError" in session.reason
    assert files(site.images) == names


def test_session_whose_flow_is_over_is_closed(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("cannot close")

    monkeypatch.setattr(SessionFlows, "_end", broken)
    session = site.restore(point, keep_original=True)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "internal")


def test_flow_that_could_not_be_enqueued_is_enqueued_later(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("cannot enqueue")

    monkeypatch.setattr(durable, "enqueue", broken)
    assert site.restore(point, keep_original=True).result is SessionResult.SUCCESS


def test_cancel_while_a_disk_is_copied_leaves_nothing(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = RestoreRecord.copied

    def cancelling(record: RestoreRecord, disk_key: str, **reached: int) -> None:
        copied(record, disk_key, **reached)
        restore.cancel(site.engine, record.session().id)

    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", _WINDOW)
    monkeypatch.setattr(RestoreRecord, "copied", cancelling)
    names, before = files(site.images), digest(site.images / "web.raw")
    session = site.restore(point)
    assert (session.state, session.result, session.reason_code) == (
        SessionState.STOPPED,
        SessionResult.FAILED,
        "cancelled",
    )
    assert session.progress < 100
    assert files(site.images) == names
    assert digest(site.images / "web.raw") == before


def test_cancelled_run_keeps_the_vms_that_were_through(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        make_vm(site.images, name, data_mib=1)
    job_id = site.set_up(["a", "b", "c"])
    capture: Callable[[Capturing], Any] = Capturing.capture
    session_id = backup.start(site.engine, job_id, CALLER)

    def cancelling(vm: Capturing) -> Any:
        if site.points() == [] and site.tasks(session_id)["a"].result is SessionResult.SUCCESS:
            backup.cancel(site.engine, session_id)
        return capture(vm)

    monkeypatch.setattr(Capturing, "capture", cancelling)
    site.engine.start()
    session = site.job_ended(session_id)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    assert [made.vm_name for made in site.points()] == ["a"]
    results = {name: task.result for name, task in site.tasks(session_id).items()}
    assert results == {"a": SessionResult.SUCCESS, "b": SessionResult.FAILED, "c": SessionResult.FAILED}


def test_what_cannot_be_added_is_refused(site: Site) -> None:
    make_vm(site.images, "web")
    host_id = hosts.add(site.engine, "image-folder", "lab", str(site.images))
    url = (site.folder / "vault").as_uri()
    repository_id = repositories.add(site.engine, "main", url, KEY)
    assert [vm.name for vm in inventory.list_vms(site.engine, host_id)] == ["web"]
    with site.database.read() as connection:
        assert host_rows.get(connection, host_id).platform == "VMware"

    with pytest.raises(HostError):
        hosts.add(site.engine, "image-folder", "other", str(site.folder / "nowhere"))
    with pytest.raises(InvalidInput):
        hosts.add(site.engine, "abacus", "other", str(site.images))
    with pytest.raises(Conflict):
        hosts.add(site.engine, "image-folder", "lab", str(site.images))

    with pytest.raises(InvalidInput):
        repositories.add(site.engine, "other", "ftp://example/vault", KEY)
    with pytest.raises(InvalidInput):
        repositories.add(site.engine, "other", url, KEY, 0)
    elsewhere = site.folder / "elsewhere"
    with pytest.raises(Conflict):
        repositories.add(site.engine, "main", elsewhere.as_uri(), KEY)
    assert not elsewhere.exists(), "a refused name leaves no vault behind"
    with site.database.read() as connection:
        assert len(repository_rows.list_all(connection)) == 1

    for vms in ([], [(host_id, "web"), (host_id, "web")]):
        with pytest.raises(InvalidInput):
            jobs.add(site.engine, "nightly", repository_id, vms)
    with pytest.raises(VmNotFound):
        jobs.add(site.engine, "nightly", repository_id, [(host_id, "nobody")])
    for repository, host in ((uuid4(), host_id), (repository_id, uuid4())):
        with pytest.raises(NotFound):
            jobs.add(site.engine, "nightly", repository, [(host, "web")])


def test_repository_keys_are_sealed_in_the_database(site: Site, point: UUID) -> None:
    with site.database.read() as connection:
        [row] = repository_rows.list_all(connection)
    assert KEY.secret not in row.secret


def test_restore_whose_point_is_gone_fails(site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RestoreSource, "row", property(_gone))
    assert site.restore(point).reason_code == "not-found"


def _gone(source: RestoreSource) -> None:
    raise NotFound("the restore point is not there any more")
