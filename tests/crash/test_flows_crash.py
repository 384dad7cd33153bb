"""Engines stopped and processes killed in the middle of their work: the next start ends it, once and rightly."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import workers
from restorium.catalog.tables import evidence as evidence_rows
from restorium.disks.raw import RawWriter
from restorium.evidence import PublicKey
from restorium.flows import backup, durable, engine, evidence, restoring
from restorium.flows.restore_record import RestoreRecord
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import evidence as independent
from tests.support.flows import CALLER, MIB, Site, digest, files, make_vm, overwrite
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_COPIED = "restorium.flows.restore_record:RestoreRecord.copied"
_WRITE = "restorium.disks.raw:RawWriter.write"
_COMMIT = "restorium.vault.backup:BackupWriter.commit"
_FINALISE = "restorium.hosts.image_folder.target:ImageFolderTarget.finalise"
_SIGN = "restorium.evidence.keys:SigningKey.sign"
_END = "restorium.flows.sessions:SessionFlows._end"
_WINDOW = 2 * MIB
_STEPS = ["name", "preflight", "create the target", "copying disk0", "verifying disk0", "finalise", "close"]


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Taken:
    """A restore point, the job that made it, and the SHA-256 of the disk at its moment."""

    id: UUID
    job_id: UUID
    digest: str


@pytest.fixture
def taken(site: Site) -> Taken:
    """A restore point of a VM web with 8 MiB of data, whose disk has changed since. No engine runs."""
    disk = make_vm(site.images, "web", data_mib=8)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    site.engine.stop()
    site.renew()
    before = digest(disk)
    overwrite(disk, "raw", 3 * MIB, b"changed since")
    return Taken(site.points()[0].id, job_id, before)


def _killed(site: Site, place: str, number: int) -> None:
    """Let a process work on the site until it dies at ``place``."""
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.flow_child",
            site.folder,
            site.database_url,
            place,
            str(number),
            str(_WINDOW),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout == "", "the engine prints nothing"


def _gone_on_at(site: Site, session_id: UUID) -> list[int]:
    """The bytes at which disks were gone on with."""
    return [
        int(event.split("byte ")[1].split(" of")[0].replace(",", ""))
        for event in site.events(session_id)
        if event.startswith("Goes on")
    ]


def _ends_rightly(site: Site, session_id: UUID, expected: str) -> None:
    session = site.restore_ended(session_id)
    assert (session.state, session.result, session.progress) == (
        SessionState.STOPPED,
        SessionResult.SUCCESS,
        100,
    ), session.reason
    assert session.restored_ref == "copy"
    assert digest(site.images / "copy.raw") == expected
    assert files(site.images) == {"web.raw", "web.vm.toml", "copy.raw", "copy.vm.toml"}


@pytest.mark.parametrize(
    ("place", "number"),
    [*((_COPIED, number) for number in (1, 2, 3)), *((_WRITE, at) for at in (2, 9, 20, 30))],
)
def test_restore_killed_anywhere_in_a_disk_goes_on_from_its_checkpoint(
    site: Site, taken: Taken, place: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    assert site.restore_session(session_id).state is SessionState.STARTING, "its flow is not enqueued yet"
    _killed(site, place, number)
    session = site.restore_session(session_id)
    [disk] = site.disks(session_id)
    assert session.state is SessionState.WORKING
    assert not (site.images / "copy.raw").exists()

    again, noted = [], []
    copied, write = RestoreRecord.copied, RawWriter.write

    def counted(record: RestoreRecord, disk_key: str, *, checkpoint: int, copied_bytes: int) -> None:
        noted.append(checkpoint)
        copied(record, disk_key, checkpoint=checkpoint, copied_bytes=copied_bytes)

    def compared(writer: RawWriter, offset: int, data: bytes) -> None:
        [image] = site.images.glob(".restorium-*.0.raw")
        with image.open("rb") as file:
            file.seek(offset)
            again.append(len(data) if file.read(len(data)) == bytes(data) else 0)
        write(writer, offset, data)

    monkeypatch.setattr(RestoreRecord, "copied", counted)
    monkeypatch.setattr(RawWriter, "write", compared)
    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", _WINDOW)
    site.engine.start()
    wait_until(lambda: "taken up again" in " ".join(site.events(session_id)), timeout=5)
    _ends_rightly(site, session_id, taken.digest)
    assert _gone_on_at(site, session_id) == ([disk.checkpoint] if disk.checkpoint else [])
    assert all(checkpoint > disk.checkpoint for checkpoint in noted)
    assert sum(again) <= _WINDOW
    assert site.restore_session(session_id).progress >= session.progress


@pytest.mark.parametrize("place", [_FINALISE, f"-{_FINALISE}"])
def test_restore_killed_around_its_end_makes_one_vm(site: Site, taken: Taken, place: str) -> None:
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    _killed(site, place, 1)
    site.engine.start()
    _ends_rightly(site, session_id, taken.digest)


@pytest.mark.parametrize("place", [f"-{_END}", f"-{_SIGN}", _SIGN, _END])
def test_restore_killed_around_its_evidence_has_it_once(site: Site, taken: Taken, place: str) -> None:
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    _killed(site, place, 1)
    pem = PublicKey(evidence.keys(site.engine)[0].public_key).pem
    site.engine.start()
    _ends_rightly(site, session_id, taken.digest)
    with site.database.read() as connection:
        [document] = connection.execute(sa.select(evidence_rows.c.document)).scalars()
    record = independent.read(document, pem)
    assert (record["session"]["id"], record["result"]) == (str(session_id), "Success")
    assert record["disks"][0]["digest"] == independent.digest_of_raw(site.images / "copy.raw")


@pytest.mark.parametrize("place", [_COMMIT, f"-{_COMMIT}"])
def test_backup_killed_around_its_commit_makes_one_point(site: Site, taken: Taken, place: str) -> None:
    before = site.points()
    session_id = backup.start(site.engine, taken.job_id, CALLER)
    _killed(site, place, 1)
    assert site.points() == before, "older points are as they were"
    assert site.job_session(session_id).state is SessionState.WORKING

    site.engine.start()
    session = site.job_ended(session_id)
    assert session.result is SessionResult.SUCCESS, session.reason
    assert len(site.points()) == 2
    manifests = list((site.folder / "vault" / "points").iterdir())
    assert len(manifests) == 2
    old, new = site.points()
    assert new.restore_point_id == session.restore_point_id
    assert site.restore(new.id, keep_original=True, new_name="copy").result is SessionResult.SUCCESS
    assert digest(site.images / "copy.raw") == digest(site.images / "web.raw")
    assert site.restore(old.id).result is SessionResult.SUCCESS
    assert digest(site.images / "web.raw") == taken.digest


@pytest.mark.parametrize("last", _STEPS)
def test_each_step_can_be_the_last_one_before_a_crash(
    site: Site, taken: Taken, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's work is done and its record is not: what a power cut at the worst moment leaves."""
    died = _dies_after(monkeypatch, last)
    site.engine.start()
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    assert died.wait(30)
    site.engine.stop()
    site.renew().start()
    _ends_rightly(site, session_id, taken.digest)
    assert [disk.result for disk in site.disks(session_id)] == [SessionResult.SUCCESS]


def test_graceful_stop_in_the_middle_of_a_disk_goes_on_from_the_checkpoint(
    site: Site, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()
    copied = RestoreRecord.copied

    def waiting(record: RestoreRecord, disk_key: str, **values: int) -> None:
        copied(record, disk_key, **values)
        if not reached.is_set():
            reached.set()
            assert stopped.engine.stopping.wait(30)

    stopped = site
    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", _WINDOW)
    monkeypatch.setattr(RestoreRecord, "copied", waiting)
    site.engine.start()
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    assert reached.wait(30)
    site.engine.stop()
    [disk] = site.disks(session_id)
    assert site.restore_session(session_id).state is SessionState.WORKING
    assert 0 < disk.checkpoint < disk.size
    with site.database.read() as connection:
        assert workers.list_all(connection) == []

    site.renew().start()
    _ends_rightly(site, session_id, taken.digest)
    assert _gone_on_at(site, session_id) == [disk.checkpoint]


def test_image_that_is_lost_meanwhile_is_written_from_the_start(
    site: Site, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = files(site.images)
    died = _dies_after(monkeypatch, "copying disk0")
    site.engine.start()
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    assert died.wait(30)
    site.engine.stop()
    for name in files(site.images) - names:
        (site.images / name).unlink()
    noted: list[bool] = []
    copied = RestoreRecord.copied

    def compared(record: RestoreRecord, disk_key: str, **values: int) -> None:
        copied(record, disk_key, **values)
        noted.append(record.reached(disk_key) == (values["checkpoint"], values["copied_bytes"]))

    monkeypatch.setattr(restoring, "CHECKPOINT_BYTES", _WINDOW)
    monkeypatch.setattr(RestoreRecord, "copied", compared)
    site.renew().start()
    _ends_rightly(site, session_id, taken.digest)
    assert _gone_on_at(site, session_id) == []
    assert len(noted) > 3
    assert all(noted), "the checkpoint is the new image's, or another crash would leave a gap"


@pytest.mark.parametrize("listed", [True, False])
def test_flows_of_a_worker_that_is_gone_go_to_another(
    site: Site, taken: Taken, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = _dies_after(monkeypatch, "copying disk0")
    site.engine.start()
    gone = site.engine.worker_id
    session_id = site.start_restore(taken.id, keep_original=True, new_name="copy")
    assert died.wait(30)
    site.engine.stop()
    if listed:
        monkeypatch.setattr(engine, "SILENCE", timedelta(0))
        with site.database.write() as connection:
            workers.beat(connection, gone, "a machine that is off", 1)
    (site.settings.data / "worker-id").unlink()
    site.renew().start()
    _ends_rightly(site, session_id, taken.digest)
    taken_by, _ = site.restore_session(session_id).hold.split()
    assert taken_by == site.engine.worker_id != gone


def _dies_after(monkeypatch: pytest.MonkeyPatch, last: str) -> threading.Event:
    """The flow dies once, after the work of the step ``last`` and before its record."""
    died = threading.Event()
    step: Callable[[str, Callable[[], Any]], Any] = durable.step

    def deadly(name: str, function: Callable[[], Any]) -> Any:
        def work() -> Any:
            value = function()
            if name == last and not died.is_set():
                died.set()
                raise durable.Interrupted
            return value

        return step(name, work)

    monkeypatch.setattr(durable, "step", deadly)
    return died
