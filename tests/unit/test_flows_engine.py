"""What an engine keeps apart: repositories that do not answer, parts of a beat, sessions of other workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import drill_runs, job_sessions, workers
from restorium.flows import backup, drills, durable, engine, repositories
from restorium.flows.capturing import Capturing
from restorium.flows.drilling import Drilling
from restorium.flows.durable import Interrupted
from restorium.hosts.image_folder import ImageFolder
from restorium.vault import Vault
from restorium.vault.backup import BackupWriter
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import HostError
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.drills import Drills
from tests.support.flows import CALLER, KEY, Site, make_vm
from tests.support.waiting import wait_until


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(engine, "HEARTBEAT_SECONDS", 0.05)
    opened = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


def test_repository_that_does_not_answer_keeps_nobody_from_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other = (
        repositories.add(site.engine, name, (site.folder / name).as_uri(), KEY)
        for name in ("silent", "other")
    )
    asked, answered = threading.Event(), threading.Event()
    open_vault = Vault.open

    def opened(url: str, *arguments: Any, **named: Any) -> Vault:
        if url.endswith("silent"):
            asked.set()
            answered.wait(30)
        return open_vault(url, *arguments, **named)

    monkeypatch.setattr(Vault, "open", opened)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(site.engine.vault, silent) for _ in range(2)]
        assert asked.wait(10)
        assert threads.submit(site.engine.vault, other).result(10) is site.engine.vault(other)
        assert not any(each.done() for each in waiting)
        answered.set()
        first, second = (each.result(10) for each in waiting)
    assert first is second, "two opened repositories would be two indexes"


def test_one_part_of_a_beat_that_fails_keeps_no_other_from_being_done(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def reconcile(self, engine: engine.Engine) -> None:
            raise OSError("a part that is broken")

    class Whole:
        done = 0

        def reconcile(self, engine: engine.Engine) -> None:
            self.done += 1

    whole = Whole()
    monkeypatch.setattr(engine.Engine, "_kinds", [Broken(), whole])
    site.engine.start()
    wait_until(lambda: whole.done > 1)


def _beats(site: Site) -> int:
    with site.database.read() as connection:
        return sum(worker.beats for worker in workers.list_all(connection))


@pytest.mark.slow
def test_heart_beats_while_a_sandbox_takes_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does not beat is taken for dead, and its work done twice."""
    make_vm(site.images, "web")
    lab, job = Drills(site), site.set_up(["web"])
    site.engine.start()
    site.back_up(job)

    def refuses(host: ImageFolder, ref: str, attempt: str) -> None:
        raise HostError("the sandbox is away")

    asked, answered = threading.Event(), threading.Event()

    def hangs(host: ImageFolder, ref: str, attempt: str) -> None:
        asked.set()
        answered.wait(30)

    monkeypatch.setattr(ImageFolder, "remove_restored", refuses)
    lab.run(lab.plan(lab.named(job, "web")))
    monkeypatch.setattr(ImageFolder, "remove_restored", hangs)
    monkeypatch.setattr(drills._sandboxes, "_next", 0.0)
    try:
        assert asked.wait(10)
        before = _beats(site)
        wait_until(lambda: _beats(site) > before + 2, timeout=10)
    finally:
        answered.set()


def _taken_over(
    monkeypatch: pytest.MonkeyPatch,
    site: Site,
    rows: Any,
    work: type,
    before: str,
    session_of: Callable[[Any], UUID],
) -> threading.Event:
    """Another worker takes a session just before the method ``before``; set once the work has unwound for that."""
    unwound = threading.Event()
    method = getattr(work, before)

    def late(self: Any, *arguments: Any) -> Any:
        with site.database.write() as connection:
            rows.take(connection, session_of(self), "another worker")
        try:
            return method(self, *arguments)
        except Interrupted:
            unwound.set()
            raise

    monkeypatch.setattr(work, before, late)
    return unwound


@pytest.mark.slow
def test_backup_that_another_worker_has_taken_over_leaves_no_point(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vm(site.images, "web")
    job = site.set_up(["web"])
    site.engine.start()
    unwound = _taken_over(monkeypatch, site, job_sessions, Capturing, "_store", lambda work: work._session_id)
    session_id = backup.start(site.engine, job, CALLER)
    assert unwound.wait(20)
    assert not list((site.folder / "vault").glob("points/*"))
    with site.database.read() as connection:
        assert job_sessions.get(connection, session_id).state is SessionState.WORKING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "late", "of"),
    [(Capturing, "_store", ""), (BackupWriter, "commit", ""), (Storage, "put", "points/")],
)
def test_backup_whose_worker_was_thought_dead_and_took_it_up_again_makes_one_point(
    site: Site, monkeypatch: pytest.MonkeyPatch, work: type, late: str, of: str
) -> None:
    """The first attempt goes on with ``late`` once the second one, in the same process, is over."""
    make_vm(site.images, "web")
    job = site.set_up(["web"])
    site.engine.start()
    method = getattr(work, late)
    attempts: list[object] = []
    first_is_over = threading.Event()

    def stopped() -> bool:
        return site.job_session(session_id).state is SessionState.STOPPED

    def delayed(self: Any, *arguments: Any) -> Any:
        if of and not arguments[0].startswith(of):
            return method(self, *arguments)
        attempts.append(self)
        if len(attempts) > 1:
            return method(self, *arguments)
        assert durable.take_over(())
        wait_until(stopped, timeout=20)
        try:
            return method(self, *arguments)
        finally:
            first_is_over.set()

    monkeypatch.setattr(work, late, delayed)
    session_id = backup.start(site.engine, job, CALLER)
    assert first_is_over.wait(30)
    session = site.job_session(session_id)
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.SUCCESS)
    [point] = site.points()
    vault = site.folder / "vault" / "points"
    wait_until(lambda: [path.name for path in vault.iterdir()] == [point.vault_point])
    assert len(attempts) == 2


@pytest.mark.slow
def test_drill_that_another_worker_has_taken_over_is_left_to_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_vm(site.images, "web")
    lab, job = Drills(site), site.set_up(["web"])
    site.engine.start()
    site.back_up(job)
    unwound = _taken_over(monkeypatch, site, drill_runs, Drilling, "await_restore", lambda work: work._run_id)
    run_id = drills.start(site.engine, lab.plan(lab.named(job, "web")), CALLER)
    assert unwound.wait(20)
    assert lab.row(run_id).state is SessionState.WORKING
