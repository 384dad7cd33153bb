"""Which workers are alive: those whose beats went on while this process looked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from restorium.catalog.listing import Row
from restorium.vocabulary.clock import Clock


class Pulse:
    """Judges by this process's monotonic clock alone.

    Clocks of several machines differ, and one that jumps would make every other worker look dead; its flows would run
    twice then. So a worker counts as alive until it was seen not to beat for long enough.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed: dict[str, tuple[object, float]] = {}

    def silent(self, workers: Iterable[Row], longest: timedelta) -> set[str]:
        """Ids of those of the workers that have not beaten for ``longest``, as far as was looked."""
        now = self._clock.monotonic()
        changed: dict[str, tuple[object, float]] = {}
        for worker in workers:
            beat = (worker.started_at, worker.pid, worker.beats)
            before = self._changed.get(worker.id)
            changed[worker.id] = before if before is not None and before[0] == beat else (beat, now)
        self._changed = changed
        return {name for name, (_, since) in changed.items() if now - since >= longest.total_seconds()}
