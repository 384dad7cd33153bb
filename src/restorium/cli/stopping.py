"""The end of a process that runs until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopped_by_signals() -> Iterator[Callable[[], None]]:
    """SIGTERM and SIGINT leave the block by SystemExit. Gives what has them ignored, to call when that has begun."""
    for stop_signal in _STOP_SIGNALS:
        signal.signal(stop_signal, _leave)
    yield _ignore


def _ignore() -> None:
    for stop_signal in _STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
