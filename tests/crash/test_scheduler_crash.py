"""Several worker processes over one catalog, killed again and again: each due moment has its one run."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import jobs, schedules
from restorium.catalog.database import Database
from restorium.catalog.job_sessions import listing
from restorium.catalog.listing import Row, Visibility
from restorium.flows import jobs as flows
from restorium.vocabulary.schedule import Periodic, Schedule
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import schedule_child
from tests.support.clock import START, ManualClock
from tests.support.flows import Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

_processes = multiprocessing.get_context("forkserver")
"""Forked from a process that has everything loaded: a worker is there at once."""
_processes.set_forkserver_preload(["tests.support.schedule_child"])
_WORKERS = 3
_KILLS = 6
_HOUR = timedelta(hours=1)
_FIRST = START.replace(hour=5, minute=0, second=0)
_MOMENTS = [_FIRST + number * _HOUR for number in range(6)]


class Workers:
    """Processes that are started anew as soon as they have died, as a supervisor would."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site, self._chance = site, random.Random(seed)
        self._clock = site.folder / "clock"
        self.kills = 0
        for number in range(_WORKERS):
            folder = self._folder(number)
            folder.mkdir()
            shutil.copy(site.settings.data / "master.key", folder)
            (folder / "flows.db").symlink_to(site.folder / "flows.db")  # in PostgreSQL they share them anyway
        self.at(0.0)
        self._running = [self._start(number) for number in range(_WORKERS)]

    def at(self, seconds: float) -> None:
        """Let it be so long after START, for all of them."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._clock)

    def look_after(self) -> None:
        """Start those again that have died, which only ever is by SIGKILL."""
        for number, process in enumerate(self._running):
            if (code := process.exitcode) is not None:
                assert code == -signal.SIGKILL, (self._folder(number) / "log").read_text()
                self.kills += 1
                self._running[number] = self._start(number)

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.join()

    def _start(self, number: int) -> BaseProcess:
        seed = self._chance.randrange(10**6) if self.kills < _KILLS else None
        arguments = (self._folder(number), self._site.database_url, self._clock, seed)
        process = _processes.Process(target=schedule_child.main, args=arguments, daemon=True)
        process.start()
        return process

    def _folder(self, number: int) -> Path:
        return self._site.folder / f"worker-{number}"


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    (opened.images / "web.raw").write_bytes(random.Random(1).randbytes(65536))
    (opened.images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    yield opened
    opened.close()


def test_each_due_moment_has_its_one_run_whoever_dies(site: Site) -> None:
    nightly = site.set_up(["web"])
    with site.database.read() as connection:
        job, [vm] = jobs.get(connection, nightly), jobs.objects(connection, nightly)
    second = flows.add(site.engine, "second", job.repository_id, [(vm.host_id, vm.vm_ref)])
    standing = Database.open(site.database_url, ManualClock())
    with standing.write() as connection:
        for job_id in (nightly, second):
            schedules.configure(connection, job_id, Schedule(periodic=Periodic()), enabled=True)
    standing.close()
    workers = Workers(site, seed=7)
    try:
        for number, moment in enumerate(_MOMENTS, start=1):
            workers.at((moment - START).total_seconds())

            def all_ended(number: int = number) -> bool:
                workers.look_after()
                return all(_ended(site, job_id) >= number for job_id in (nightly, second))

            wait_until(all_ended, timeout=60)
    finally:
        workers.stop()
    assert workers.kills >= 3
    for job_id in (nightly, second):
        runs = _runs(site, job_id)
        assert [run.created_at for run in runs] == _MOMENTS, "none missed, none doubled"
        assert {(run.state, run.result, run.attempt) for run in runs} == {
            (SessionState.STOPPED, SessionResult.SUCCESS, 0)
        }, [run.reason for run in runs]
        with site.database.read() as connection:
            assert jobs.get(connection, job_id).next_run == _MOMENTS[-1] + _HOUR
    made = site.points()
    assert len(made) == len({point.restore_point_id for point in made}) == 2 * len(_MOMENTS)
    assert {point.vault_point for point in made} == {
        path.name for path in (site.folder / "vault" / "points").iterdir()
    }


def _runs(site: Site, job_id: UUID) -> list[Row]:
    with site.database.read() as connection:
        found = listing.page(connection, order=[("created_at", False)], visible=Visibility.everything())
    return [run for run in found if run.job_id == job_id]


def _ended(site: Site, job_id: UUID) -> int:
    return sum(run.state is SessionState.STOPPED for run in _runs(site, job_id))
