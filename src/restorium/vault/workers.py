"""Threads with a short queue: whoever submits waits while it is full, and soon notices a cancel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from restorium.vocabulary.errors import Cancelled

_P = ParamSpec("_P")
_T = TypeVar("_T")
_QUEUE = 64
_LOOK_SECONDS = 0.1


def default_threads() -> int:
    """One a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_cancel(cancelled: Callable[[], bool]) -> None:
    """Raise Cancelled if that is asked for."""
    if cancelled():
        raise Cancelled("the operation on the repository was cancelled")


class Workers:
    """Leaving the block drops what is queued and waits for what runs."""

    def __init__(self, threads: int, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._pool = ThreadPoolExecutor(threads or default_threads(), thread_name_prefix="vault")
        self._room = threading.Semaphore(_QUEUE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """Raise Cancelled if that is asked for."""
        check_cancel(self._cancelled)

    def submit(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Queue ``work``. Raises Cancelled."""
        self.check()
        while not self._room.acquire(timeout=_LOOK_SECONDS):
            self.check()
        future = self._pool.submit(work, *args, **kwargs)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def result(self, future: Future[_T]) -> _T:
        """What the work gave or raised. Raises Cancelled."""
        self.check()
        while not wait([future], timeout=_LOOK_SECONDS).done:
            self.check()
        return future.result()
