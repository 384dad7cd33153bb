"""Who is alive: whoever's beats go on while one looks, whatever the clocks say."""

from __future__ import annotations

from datetime import datetime, timedelta

from restorium.catalog import workers
from restorium.catalog.database import Database
from restorium.flows.pulse import Pulse
from tests.support.clock import ManualClock

_MINUTE = timedelta(seconds=60)


class JumpingClock(ManualClock):
    """Of which the time of day can be set, as after a suspend; nothing passes meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.jump = timedelta()

    def now(self) -> datetime:
        return super().now() + self.jump


def _silent(database: Database, pulse: Pulse) -> set[str]:
    with database.read() as connection:
        return pulse.silent(workers.list_all(connection), _MINUTE)


def _beat(database: Database, worker_id: str, pid: int = 1) -> None:
    with database.write() as connection:
        workers.beat(connection, worker_id, "rack", pid)


def test_only_a_worker_that_does_not_beat_while_one_looks_is_silent(database: Database) -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    _beat(database, "dead")
    _beat(database, "alive")
    clock.advance(3600)
    assert _silent(database, pulse) == set(), "nobody has looked yet"
    for _ in range(3):
        clock.advance(25)
        _beat(database, "alive")
        found = _silent(database, pulse)
    assert found == {"dead"}
    _beat(database, "dead", pid=2)
    assert _silent(database, pulse) == set(), "it was started again"


def test_a_jump_of_the_time_of_day_makes_nobody_look_dead(database: Database) -> None:
    clock = JumpingClock()
    pulse = Pulse(clock)
    for jump in (timedelta(), timedelta(hours=5), timedelta(days=-2), timedelta(hours=1)):
        clock.jump = jump
        _beat(database, "alive")
        assert _silent(database, pulse) == set()
        clock.advance(2)
