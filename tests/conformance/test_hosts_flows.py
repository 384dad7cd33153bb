"""What every host holds in a backup and a restore from end to end, looked at without Restorium's own eyes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import job_sessions
from restorium.catalog.listing import Row
from restorium.flows import backup, control, jobs, repositories, restore
from restorium.flows.capturing import Capturing
from restorium.flows.restore_record import RestoreRecord
from restorium.vault import spot_check
from restorium.vocabulary.errors import RepositoryFull
from restorium.vocabulary.sessions import SessionResult
from tests.support.flows import KEY, MIB, Site
from tests.support.labs import Lab, add_host, lab_params, open_lab

_SIZE, _DATA = 24 * MIB, 12 * MIB


class Estate:
    """A lab with a VM of two disks, and a site with a job of it."""

    def __init__(self, lab: Lab, site: Site) -> None:
        self.lab, self.site = lab, site
        self.keys = lab.keys(2)
        first = random.Random(1).randbytes(_DATA) + bytes(_SIZE - _DATA)
        self.before = {self.keys[0]: first, self.keys[1]: bytes(MIB) + random.Random(2).randbytes(MIB)}
        self.ref = lab.add_vm("web", self.before)
        self.host_id = add_host(site.engine, lab)
        repository_id = repositories.add(site.engine, "main", (site.folder / "vault").as_uri(), KEY)
        self.job_id = jobs.add(site.engine, "nightly", repository_id, [(self.host_id, self.ref)])
        site.engine.start()

    def back_up(self) -> Row:
        """One run, which must succeed; gives its restore point of the VM."""
        session = self.site.back_up(self.job_id)
        assert session.result is SessionResult.SUCCESS, self.reasons(session.id)
        return self.site.points()[-1]

    def reasons(self, session_id: UUID) -> list[str]:
        return [str(task.reason) for task in self.site.tasks(session_id).values()]

    def told(self, session_id: UUID) -> str:
        with self.site.database.read() as connection:
            return "\n".join(event.message for event in job_sessions.events(connection, session_id))

    def change(self) -> dict[str, bytes]:
        """Write to the first disk; gives what all hold then."""
        after = dict(self.before)
        disk = bytearray(after[self.keys[0]])
        for offset in (MIB + 512, 9 * MIB, _SIZE - 4096):
            data = random.Random(offset).randbytes(4096)
            self.lab.write(self.ref, self.keys[0], offset, data)
            disk[offset : offset + 4096] = data
        after[self.keys[0]] = bytes(disk)
        return after


@pytest.fixture(params=lab_params())
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        made = open_lab(request.param, tmp_path)
        stack.callback(made.close)
        yield made


@pytest.fixture
def estate(lab: Lab, tmp_path: Path) -> Iterator[Estate]:
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    try:
        yield Estate(lab, site)
    finally:
        site.close()


def test_each_point_restores_to_what_the_disks_held_at_its_moment(estate: Estate) -> None:
    first = estate.back_up()
    after = estate.change()
    second = estate.back_up()
    for point, contents in ((first, estate.before), (second, after)):
        session = estate.site.restore(point.id, keep_original=True)
        assert session.result is SessionResult.SUCCESS, session.reason
        assert list(estate.lab.contents(session.restored_ref).values()) == list(contents.values())
    assert estate.lab.contents(estate.ref) == after, "the original is left alone"
    assert not estate.lab.leftovers()


def test_an_increment_reads_only_what_changed(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    if not estate.lab.tracks:
        pytest.skip("the host does not track changes")
    monkeypatch.setattr(spot_check, "SAMPLES", 4)
    estate.back_up()
    estate.change()
    session = estate.site.back_up(estate.job_id)
    [task] = estate.site.tasks(session.id).values()
    assert 3 * 4096 <= task.read_bytes <= 6 * MIB, "three places, and a few that are read to be sure"
    estate.lab.forget_changes(estate.ref)
    estate.change()
    session = estate.site.back_up(estate.job_id)
    assert session.result is SessionResult.SUCCESS, "what is lost is read whole, and is no failure"
    assert "read whole" in estate.told(session.id)
    [task] = estate.site.tasks(session.id).values()
    assert task.read_bytes >= _DATA
    restored = estate.site.restore(estate.site.points()[-1].id, keep_original=True)
    assert list(estate.lab.contents(restored.restored_ref).values()) == list(estate.change().values())


def test_a_restore_over_the_original_brings_its_bytes_back(estate: Estate) -> None:
    point = estate.back_up()
    estate.change()
    session = estate.site.restore(point.id)
    assert session.result is SessionResult.SUCCESS, session.reason
    assert list(estate.lab.contents(session.restored_ref).values()) == list(estate.before.values())
    assert not estate.lab.leftovers()
    assert estate.back_up().vm_name == "web", "the job goes on with the restored VM"
    if session.restored_ref == estate.ref:
        estate.change()
    session = estate.site.restore(point.id, quick_rollback=True)
    assert session.result is SessionResult.SUCCESS, session.reason
    told = "\n".join(estate.site.events(session.id))
    assert ("only what differs is fetched" in told) == (session.restored_ref == estate.ref)
    assert list(estate.lab.contents(session.restored_ref).values()) == list(estate.before.values())
    assert not estate.lab.leftovers()


def test_a_running_vm_is_backed_up_as_it_was_and_runs_on(estate: Estate) -> None:
    if not estate.lab.powers:
        pytest.skip("the host runs no VMs")
    estate.lab.start(estate.ref)
    contents = estate.change()
    point = estate.back_up()
    assert estate.lab.runs(estate.ref)
    session = estate.site.restore(point.id, keep_original=True, new_name="copy")
    assert session.result is SessionResult.SUCCESS, session.reason
    assert list(estate.lab.contents(session.restored_ref).values()) == list(contents.values())
    assert estate.lab.runs(estate.ref)
    assert not estate.lab.leftovers()


def test_a_restored_vm_is_powered_on_if_asked(estate: Estate) -> None:
    point = estate.back_up()
    session = estate.site.restore(point.id, keep_original=True, power_on=True)
    if estate.lab.powers:
        assert session.result is SessionResult.SUCCESS, session.reason
        assert estate.lab.runs(session.restored_ref)
    else:
        assert (session.result, session.reason_code) == (SessionResult.WARNING, "unsupported")
    assert not estate.lab.runs(estate.ref)


def test_a_cancelled_restore_leaves_nothing(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    point = estate.back_up()
    copied = RestoreRecord.copied

    def cancelling(record: RestoreRecord, disk_key: str, **reached: int) -> None:
        copied(record, disk_key, **reached)
        restore.cancel(estate.site.engine, record.session().id)

    monkeypatch.setattr(RestoreRecord, "copied", cancelling)
    session = estate.site.restore(point.id, keep_original=True)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    assert not estate.lab.leftovers()
    assert estate.lab.contents(estate.ref) == estate.before


@pytest.mark.parametrize("how", ["cancelled", "repository-full", "host-gone"])
def test_a_backup_that_ends_early_leaves_nothing_and_the_vm_as_it_was(
    estate: Estate, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if estate.lab.powers:
        estate.lab.start(estate.ref)
    contents = estate.change()
    note = Capturing._note

    def interrupting(capturing: Capturing, *arguments: Any) -> None:
        if how == "repository-full":
            raise RepositoryFull("no room")
        patched.undo()
        if how == "host-gone":
            away.enter_context(estate.lab.cut())
            note(capturing, *arguments)
            return
        backup.cancel(estate.site.engine, capturing._session_id)
        note(capturing, *arguments)

    monkeypatch.setattr(control, "_LOOK_SECONDS", 0)
    with ExitStack() as away, monkeypatch.context() as patched:
        patched.setattr(Capturing, "_note", interrupting)
        session = estate.site.back_up(estate.job_id)
    if how != "host-gone":
        assert session.result is SessionResult.FAILED
        assert (
            not estate.lab.leftovers()
        )  # of a host that is gone, the next backup removes what held it still
    assert estate.lab.runs(estate.ref) == estate.lab.powers
    estate.back_up()
    assert not estate.lab.leftovers()
    for point in estate.site.points():  # data may come by another way than what was cut
        restored = estate.site.restore(point.id, keep_original=True)
        assert list(estate.lab.contents(restored.restored_ref).values()) == list(contents.values())


def test_a_host_that_cannot_be_reached_is_the_reason_and_nothing_is_left_once_it_is_back(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = estate.back_up()
    copied = RestoreRecord.copied
    with ExitStack() as away:

        def cutting(record: RestoreRecord, disk_key: str, **reached: int) -> None:
            copied(record, disk_key, **reached)
            monkeypatch.setattr(RestoreRecord, "copied", copied)
            away.enter_context(estate.lab.cut())

        monkeypatch.setattr(RestoreRecord, "copied", cutting)
        failed = estate.site.restore(point.id, keep_original=True, new_name="copy")
        assert failed.result is SessionResult.FAILED
        assert failed.reason
        session = estate.site.back_up(estate.job_id)
        [task] = estate.site.tasks(session.id).values()
        assert session.result is SessionResult.FAILED
        assert task.reason
    assert estate.back_up()
    session = estate.site.restore(point.id, keep_original=True, new_name="copy")
    assert session.result is SessionResult.SUCCESS, session.reason
    assert list(estate.lab.contents(session.restored_ref).values()) == list(estate.before.values())
    assert estate.lab.contents(estate.ref) == estate.before
