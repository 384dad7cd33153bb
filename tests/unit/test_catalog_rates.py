"""Speed and time left of restores: true on a steady medium, and what earlier restores tell of later ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import pytest

from restorium.catalog import rates, restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row
from restorium.catalog.restore_sessions import NewDisk
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

pytestmark = pytest.mark.slow

MIB = 1 << 20
DISKS = {"a": 600 * MIB, "b": 400 * MIB}
TOTAL = sum(DISKS.values())
WINDOW = 20 * MIB


@pytest.fixture
def point(database: Database) -> Row:
    with database.write() as connection:
        vm = JobVm(add_host(connection).id, "vm-1", "db7")
        return record_point(connection, add_job(connection, [vm]), [vm], UUID(int=9), START)[0]


class Restore:
    """A restore on media that copy and verify so many MiB a second."""

    def __init__(
        self, database: Database, clock: ManualClock, point: Row, copy: float, verify: float
    ) -> None:
        self.database, self.clock = database, clock
        self._rates = {RestorePhase.COPYING: copy * MIB, RestorePhase.VERIFYING: verify * MIB}
        with database.write() as connection:
            spec, caller = RestoreSpec(point.id), Caller("jo")
            made = restore_sessions.create(connection, point=point, spec=spec, caller=caller)
            self.id: UUID = made.id
            restore_sessions.advance(connection, self.id, SessionState.WORKING)
            restore_sessions.plan(connection, self.id, [NewDisk(*disk, disk[1]) for disk in DISKS.items()])

    @property
    def row(self) -> Row:
        with self.database.read() as connection:
            return restore_sessions.get(connection, self.id)

    def steps(self) -> Iterator[float]:
        """Goes on window by window; gives the seconds since the begin after each."""
        began = self.clock.monotonic()
        for phase, rate in self._rates.items():
            for key, size in DISKS.items():
                with self.database.write() as connection:
                    restore_sessions.enter_phase(connection, self.id, phase)
                for done in range(WINDOW, size + WINDOW, WINDOW):
                    self.clock.advance(WINDOW / rate)
                    self._record(phase, key, min(done, size), ended=done >= size)
                    yield self.clock.monotonic() - began
        with self.database.write() as connection:
            restore_sessions.advance(connection, self.id, SessionState.STOPPED, result=SessionResult.SUCCESS)

    def run(self) -> float:
        """To the end; gives the seconds that it took."""
        return list(self.steps())[-1]

    def _record(self, phase: RestorePhase, key: str, done: int, *, ended: bool) -> None:
        with self.database.write() as connection:
            if phase is RestorePhase.COPYING:
                restore_sessions.record_disk(connection, self.id, key, checkpoint=done, copied_bytes=done)
            else:
                result = SessionResult.SUCCESS if ended else None
                restore_sessions.record_disk(connection, self.id, key, verified_bytes=done, result=result)


@pytest.mark.slow
@pytest.mark.parametrize(("copy", "verify"), [(10, 10), (4, 40), (30, 6)])
def test_time_left_is_true_after_the_first_tenth(
    database: Database, clock: ManualClock, point: Row, copy: float, verify: float
) -> None:
    Restore(database, clock, point, copy * 1.1, verify * 0.9).run()
    restore = Restore(database, clock, point, copy, verify)
    told = [
        (passed, rates.seconds_left(restore.row, clock.now()), restore.row.progress)
        for passed in restore.steps()
    ]
    total = told[-1][0]
    for passed, left, progress in told[:-1]:
        if passed > total / 10:
            assert left == pytest.approx(total - passed, rel=0.2, abs=1.5)
        assert 0 <= progress < 100
    shown = [progress for _, _, progress in told]
    assert shown == sorted(shown)
    assert restore.row.progress == 100
    assert rates.seconds_left(restore.row, clock.now()) is None


def test_progress_never_falls_when_an_image_is_lost_and_made_anew(
    database: Database, clock: ManualClock, point: Row
) -> None:
    restore = Restore(database, clock, point, copy=10, verify=10)
    steps, shown = restore.steps(), []
    for _ in range(20):
        next(steps)
        shown.append(restore.row.progress)
    with database.write() as connection:
        restore_sessions.restart_disk(connection, restore.id, "a")
        restore_sessions.enter_phase(connection, restore.id, RestorePhase.COPYING)
    shown += [restore.row.progress for _ in restore.steps()]
    assert shown == sorted(shown)
    assert (shown[0], max(shown[:-1]), restore.row.progress) == (1, 99, 100)


def test_speed_is_that_of_now(database: Database, clock: ManualClock, point: Row) -> None:
    restore = Restore(database, clock, point, copy=10, verify=40)
    assert rates.speed_of(restore.row, clock.now()) is None
    seen = {}
    for _ in restore.steps():
        seen[restore.row.phase] = rates.speed_of(restore.row, clock.now())
    assert seen[RestorePhase.COPYING] == pytest.approx(10 * MIB, rel=0.01)
    assert seen[RestorePhase.VERIFYING] == pytest.approx(40 * MIB, rel=0.01)
    assert rates.speed_of(restore.row, clock.now()) is None


def test_what_stands_still_has_no_speed_and_no_end(
    database: Database, clock: ManualClock, point: Row
) -> None:
    restore = Restore(database, clock, point, copy=100, verify=100)
    steps = restore.steps()
    for _ in range(16):
        next(steps)
    clock.advance(30)
    assert rates.seconds_left(restore.row, clock.now()) is None
    clock.advance(31)
    assert rates.speed_of(restore.row, clock.now()) == 0


def test_an_interruption_is_no_slowness(database: Database, clock: ManualClock, point: Row) -> None:
    restore = Restore(database, clock, point, copy=10, verify=10)
    steps = restore.steps()
    for _ in range(12):
        next(steps)
    clock.advance(7200)
    with database.write() as connection:
        restore_sessions.enter_phase(connection, restore.id, RestorePhase.COPYING)
    next(steps)
    left = 2 * TOTAL / (10 * MIB) - 13 * WINDOW / (10 * MIB)
    assert rates.seconds_left(restore.row, clock.now()) == pytest.approx(left, rel=0.05)


def test_a_clock_that_is_set_back_or_forward_stops_nothing(
    database: Database, clock: ManualClock, point: Row
) -> None:
    restore = Restore(database, clock, point, copy=10, verify=10)
    steps = restore.steps()
    for jump in (-3600, 90_000):
        for _ in range(5):
            next(steps)
        clock.advance(jump)
        for _ in range(5):
            next(steps)
        assert rates.speed_of(restore.row, clock.now()) == pytest.approx(10 * MIB, rel=0.05)


@pytest.mark.slow
def test_samples_are_few_and_spread_over_the_whole(
    database: Database, clock: ManualClock, point: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MOST_SAMPLES", 20)
    restore = Restore(database, clock, point, copy=0.05, verify=0.1)
    total = restore.run()
    with database.read() as connection:
        found = rates.samples(connection, restore.id)
    assert 10 <= len(found) <= rates.MOST_SAMPLES
    times = [sample.at for sample in found]
    assert times == sorted(times)
    apart = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert max(apart) < total / 4
    assert (found[-1].copied_bytes, found[-1].verified_bytes) == (TOTAL, TOTAL)
    assert {sample.phase for sample in found} == {RestorePhase.COPYING, RestorePhase.VERIFYING}


def test_an_estimate_is_that_of_the_last_restores_between_the_two(
    database: Database, clock: ManualClock, point: Row
) -> None:
    def estimate(repository_id: UUID, host_id: UUID) -> float | None:
        with database.read() as connection:
            return rates.estimate(connection, repository_id, host_id, 1000 * MIB)

    elsewhere = UUID(int=5)
    assert estimate(point.repository_id, point.host_id) is None
    for copy in (40, 50, 200):
        Restore(database, clock, point, copy, 100).run()
    expected = 1000 / 50 + 1000 / 100
    assert estimate(point.repository_id, point.host_id) == pytest.approx(expected, rel=0.01)
    assert estimate(elsewhere, elsewhere) == pytest.approx(expected, rel=0.01)
    begun = Restore(database, clock, point, 50, 100)
    assert rates.seconds_left(begun.row, clock.now()) == pytest.approx(
        TOTAL / MIB * (1 / 50 + 1 / 100), rel=0.02
    )
