"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_TICK_SECONDS = 0.01


def wait_until(predicate: Callable[[], object], timeout: float = 10.0) -> None:
    """Return once ``predicate`` gives something true; fail after ``timeout`` seconds."""
    tick = threading.Event()
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            raise AssertionError(f"still not so after {timeout} s: {predicate}")
        tick.wait(_TICK_SECONDS)
