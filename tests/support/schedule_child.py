"""A worker process of an installation whose clock is a file, and which kills itself at a seeded moment."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from restorium.catalog import job_sessions, points, schedules
from restorium.catalog.database import Database
from restorium.flows import durable
from restorium.flows import engine as engines
from restorium.flows.engine import Engine
from restorium.settings import Settings
from tests.support.clock import START

_PLACES = (
    (schedules, "claim"),
    (job_sessions, "create"),
    (durable, "enqueue"),
    (job_sessions, "advance"),
    (points, "record"),
    (schedules, "run_ended"),
    (durable, "_recorded"),
)
_MOST_CALLS = 12


class FileClock:
    """The time that the test has written down last."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        return START + timedelta(seconds=float(self._path.read_text()))

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self) -> UUID:
        return uuid4()


def main(folder: Path, url: str, clock: Path, seed: int | None) -> None:
    """Work until killed.

    folder: the worker's own data folder, where it also logs. clock: a file with the seconds since START. seed: chooses
    which of the calls that make, begin, carry on or end a run is its last, and whether it dies before or after it; None
    for none.
    """
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    engines.HEARTBEAT_SECONDS = 0.25
    engines.SILENCE = timedelta(days=10_000)  # hours pass in a moment: nobody is silent for that
    if seed is not None:
        _kill(random.Random(seed))
    time_of = FileClock(clock)
    settings = Settings(data=folder, database_url=None if url.startswith("sqlite") else url)
    Engine(settings, Database.open(url, time_of), time_of).start()
    threading.Event().wait(120)


def _kill(chance: random.Random) -> None:
    last, before = chance.randint(1, _MOST_CALLS), chance.random() < 0.5
    calls, lock = 0, threading.Lock()

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            with lock:
                calls += 1
                mine = calls == last
            if mine and before:
                os.kill(os.getpid(), signal.SIGKILL)
            value = real(*arguments, **options)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        return call

    for module, name in _PLACES:
        setattr(module, name, deadly(getattr(module, name)))
