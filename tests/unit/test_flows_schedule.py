"""Jobs that run by themselves: each run once, whoever else is about and whatever happened before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import (
    drill_plans,
    drill_runs,
    hosts,
    job_sessions,
    jobs,
    repositories,
    schedules,
)
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.flows import backup, drills
from restorium.flows import engine as engines
from restorium.flows.engine import Engine
from restorium.flows.schedule import Scheduler
from restorium.settings import Settings
from restorium.vocabulary.drills import DrillPlan, Selection
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.schedule import Continuous, Daily, Hours, Retry, Schedule
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.flows import CALLER, Site, make_vm
from tests.support.waiting import wait_until

RUN = datetime(2031, 2, 3, 22, tzinfo=UTC)
DAY = timedelta(days=1)
TEN = Schedule(daily=Daily(time(22)))


class Lab:
    """A catalog with one job, and engines that run no flows: their beat is called by hand."""

    def __init__(self, database: Database, clock: ManualClock, folder: Path) -> None:
        self.database, self.clock, self._folder = database, clock, folder
        with database.write() as connection:
            host = hosts.add(
                connection, name="lab", kind="image-folder", address="/srv", platform=Platform.VMWARE
            )
            repository = repositories.add(connection, name="main", url="file:///v", kind="local", secret=b"")
            self.job = jobs.add(
                connection,
                name="nightly",
                repository_id=repository.id,
                platform=Platform.VMWARE,
                vms=[JobVm(host.id, "web", "web")],
            )

    def schedule(self, schedule: Schedule) -> None:
        with self.database.write() as connection:
            schedules.configure(connection, self.job.id, schedule, enabled=True)

    def engine(self, name: str = "one") -> Engine:
        return Engine(Settings(data=self._folder / name), self.database, self.clock)

    def at(self, moment: datetime) -> None:
        self.clock.advance((moment - self.clock.now()).total_seconds())

    def sessions(self) -> list[Row]:
        """Oldest first."""
        with self.database.read() as connection:
            everything = Visibility.everything()
            return list(
                job_sessions.listing.page(connection, order=[("created_at", False)], visible=everything)
            )

    def events(self, session: Row) -> list[str]:
        with self.database.read() as connection:
            return [event.message for event in job_sessions.events(connection, session.id)]

    def next_run(self) -> datetime | None:
        with self.database.read() as connection:
            found: datetime | None = jobs.get(connection, self.job.id).next_run
            return found


@pytest.fixture
def lab(database: Database, clock: ManualClock, tmp_path: Path) -> Lab:
    return Lab(database, clock, tmp_path)


def test_due_run_starts_and_says_who_asked(lab: Lab) -> None:
    lab.schedule(TEN)
    lab.at(RUN - timedelta(seconds=1))
    Scheduler().reconcile(lab.engine())
    assert lab.sessions() == []
    lab.at(RUN)
    for _ in range(3):
        Scheduler().reconcile(lab.engine())
    [session] = lab.sessions()
    assert (session.created_at, session.requested_by, session.is_retry) == (RUN, "the schedule", False)
    assert lab.next_run() == RUN + DAY


def test_disabled_schedule_starts_nothing(lab: Lab) -> None:
    lab.schedule(TEN)
    with lab.database.write() as connection:
        schedules.configure(connection, lab.job.id, TEN, enabled=False)
    lab.at(RUN)
    Scheduler().reconcile(lab.engine())
    assert lab.sessions() == []


def test_several_workers_start_one_run(lab: Lab) -> None:
    lab.schedule(TEN)
    lab.at(RUN)
    workers = [lab.engine(str(number)) for number in range(6)]
    together = threading.Barrier(len(workers))
    with lab.database.read() as connection:
        [due] = schedules.due(connection)  # all have read that it is due
    started: list[UUID | None] = []

    def beat(engine: Engine) -> None:
        together.wait()
        started.append(backup.start_due(engine, due))

    threads = [threading.Thread(target=beat, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == len(workers)
    [session] = lab.sessions()
    assert [each for each in started if each is not None] == [session.id]


def test_crash_at_the_claim_loses_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim and the session are one transaction: a run that could not be written down is still due."""
    lab.schedule(TEN)
    lab.at(RUN)
    with monkeypatch.context() as broken:

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        broken.setattr(job_sessions, "create", die)
        with pytest.raises(KeyboardInterrupt):
            Scheduler().reconcile(lab.engine())
    assert lab.next_run() == RUN
    Scheduler().reconcile(lab.engine("after the crash"))
    assert len(lab.sessions()) == 1


def test_trouble_with_one_job_is_not_that_of_another(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.schedule(TEN)
    with lab.database.write() as connection:
        [vm] = jobs.objects(connection, lab.job.id)
        other = jobs.add(
            connection,
            name="other",
            repository_id=lab.job.repository_id,
            platform=Platform.VMWARE,
            vms=[JobVm(vm.host_id, "web", "web")],
        )
        schedules.configure(connection, other.id, Schedule(daily=Daily(time(23))), enabled=True)
    lab.at(RUN + timedelta(hours=2))
    real = job_sessions.create

    def create(connection: Any, job_id: UUID, *rest: Any, **options: Any) -> Row:
        if job_id == lab.job.id:
            raise RuntimeError("no")
        return real(connection, job_id, *rest, **options)

    monkeypatch.setattr(job_sessions, "create", create)
    Scheduler().reconcile(lab.engine())
    assert [session.job_name for session in lab.sessions()] == ["other"]


def test_run_that_falls_into_another_is_left_out_and_told(lab: Lab) -> None:
    lab.schedule(TEN)
    by_hand = backup.start(lab.engine(), lab.job.id, CALLER)
    lab.at(RUN)
    Scheduler().reconcile(lab.engine())
    [session] = lab.sessions()
    assert session.id == by_hand
    assert any("due at 2031-02-03 22:00 UTC was left out" in event for event in lab.events(session))
    assert lab.next_run() == RUN + DAY


def test_continuous_job_starts_anew_when_it_has_ended(lab: Lab) -> None:
    lab.schedule(Schedule(continuous=Continuous()))
    for _ in range(3):
        lab.clock.advance(60)
        Scheduler().reconcile(lab.engine())
    [session] = lab.sessions()
    assert lab.events(session) == []
    backup.cancel(lab.engine(), session.id)
    lab.clock.advance(60)
    Scheduler().reconcile(lab.engine())
    assert len(lab.sessions()) == 2


def test_run_ends_when_its_window_closes(lab: Lab) -> None:
    evening = Hours((0b11 << 22,) * 7)
    lab.schedule(Schedule(daily=Daily(time(22)), window=evening, retry=Retry()))
    lab.at(RUN)
    Scheduler().reconcile(lab.engine())
    lab.clock.advance(7199)
    Scheduler().reconcile(lab.engine())
    [session] = lab.sessions()
    assert session.state is SessionState.STARTING
    lab.clock.advance(1)
    Scheduler().reconcile(lab.engine())
    [session] = lab.sessions()
    assert (session.state, session.reason_code) == (SessionState.STOPPED, "cancelled")
    assert any("window has closed" in event for event in lab.events(session))
    assert lab.next_run() == RUN + DAY


@pytest.fixture
def running(
    database_url: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """An installation whose clock stands still and whose heart beats fast."""
    monkeypatch.setattr(engines, "HEARTBEAT_SECONDS", 0.05)
    site = Site(tmp_path, database_url)
    site.database.close()
    site.database = Database.open(database_url, clock)
    site.engine = Engine(site.settings, site.database, clock)
    yield site
    site.close()


def test_job_runs_by_itself_and_is_retried_once_its_vm_is_back(running: Site, clock: ManualClock) -> None:
    """Through engine, flow and vault, over a restart: missed runs are one, and the retry is told as one."""
    disk = make_vm(running.images, "web", size_mib=4, data_mib=1)
    job_id = running.set_up(["web"])
    with running.database.write() as connection:
        schedule = Schedule(daily=Daily(time(22)), retry=Retry(1, 10))
        schedules.configure(connection, job_id, schedule, enabled=True)
    hidden = disk.rename(disk.with_suffix(".away"))
    clock.advance((RUN + 3 * DAY - clock.now()).total_seconds())  # nobody was there for three days
    running.engine.start()
    [failed] = _ended(running, 1)
    assert (failed.result, failed.is_retry, failed.requested_by) == (
        SessionResult.FAILED,
        False,
        "the schedule",
    )
    hidden.rename(disk)
    clock.advance(600)
    again = _ended(running, 2)[-1]
    assert (again.result, again.is_retry) == (SessionResult.SUCCESS, True)
    assert [point.vm_name for point in running.points()] == ["web"]
    with running.database.read() as connection:
        assert jobs.get(connection, job_id).next_run == RUN + 4 * DAY


def _ended(site: Site, number: int) -> list[Row]:
    """So many sessions, once all of them have stopped."""

    def sessions() -> list[Row]:
        with site.database.read() as connection:
            return list(
                job_sessions.listing.page(
                    connection, order=[("created_at", False)], visible=Visibility.everything()
                )
            )

    def done() -> bool:
        found = sessions()
        return len(found) == number and all(each.state is SessionState.STOPPED for each in found)

    wait_until(done, timeout=60)
    return sessions()


def test_due_drill_is_run_once_and_left_out_while_the_last_goes_on(lab: Lab) -> None:
    with lab.database.write() as connection:
        sandbox = hosts.add(
            connection, name="sandbox", kind="image-folder", address="/sandbox", platform=Platform.VMWARE
        )
        plan = DrillPlan("weekly", Selection(percent=100), sandbox.id, 60, schedule=TEN)
        plan_id = drill_plans.add(connection, plan).id
    lab.at(RUN)
    for name in ("one", "two"):
        Scheduler().reconcile(lab.engine(name))
    [run] = _drills(lab)
    assert (run.created_at, run.requested_by, run.state) == (RUN, "the schedule", SessionState.STARTING)
    lab.at(RUN + DAY)
    Scheduler().reconcile(lab.engine())
    assert len(_drills(lab)) == 1
    assert any("left out" in event for event in lab.events(run))

    drills.cancel(lab.engine(), run.id)
    lab.at(RUN + 4 * DAY)
    Scheduler().reconcile(lab.engine())
    assert [each.created_at for each in _drills(lab)] == [RUN, RUN + 4 * DAY], "two that were missed are one"
    with lab.database.read() as connection:
        assert drill_plans.get(connection, plan_id).next_run == RUN + 5 * DAY


def _drills(lab: Lab) -> list[Row]:
    with lab.database.read() as connection:
        return list(
            drill_runs.listing.page(
                connection, order=[("created_at", False)], visible=Visibility.everything()
            )
        )
