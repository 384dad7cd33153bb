"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

START = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


class ManualClock:
    """Starts at ``START``. Its identifiers are random but the same in each run."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # not for secrets: tests want the same in each run
        self._lock = threading.Lock()
        self._passed = timedelta()

    def now(self) -> datetime:
        return START + self._passed

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def new_id(self) -> UUID:
        with self._lock:
            return UUID(int=self._random.getrandbits(128), version=4)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += timedelta(seconds=seconds)
