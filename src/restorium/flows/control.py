"""What a long step reads and writes while it runs: whether to stop, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import Cancelled

T = TypeVar("T")

_LOOK_SECONDS = 0.2


class Control:
    """Shared by the threads of one step. ``cancelled`` is cheap enough to be asked for every chunk.

    is_cancelled: reads the session's flag from the catalog.
    report: notes so many bytes, completed since its last call, in the catalog.
    """

    def __init__(
        self,
        engine: Engine,
        is_cancelled: Callable[[], bool],
        report: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._engine = engine
        self._is_cancelled = is_cancelled
        self._report = report
        self._lock = threading.Lock()
        self._next_look = engine.clock.monotonic()
        self._flag = False
        self._pending = 0

    def cancelled(self) -> bool:
        """Whether the session's caller or a stop of the process asks the step to end.

        Looks at the catalog, and reports to it, five times a second.
        """
        if self._engine.stopping.is_set() or self._flag:
            return True
        now = self._engine.clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._flag = self._is_cancelled()
            self.flush()
        return self._flag

    def advance(self, count: int) -> None:
        """``count`` more bytes are complete."""
        with self._lock:
            self._pending += count

    def flush(self) -> None:
        """Report what is complete but not yet reported."""
        with self._lock:
            count, self._pending = self._pending, 0
        if count:
            self._report(count)

    def check(self) -> None:
        """Raise Interrupted if the process stops, Cancelled if the session's caller asked for it."""
        if self.cancelled():
            self._unwind()

    def watched(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, each after a ``check``."""
        for item in items:
            self.check()
            yield item

    @contextmanager
    def unwinding(self) -> Iterator[None]:
        """Turns a Cancelled of the data path into what it means: the process stops, or the session."""
        try:
            yield
        except Cancelled:
            self._unwind()

    def _unwind(self) -> NoReturn:
        if self._engine.stopping.is_set():
            raise Interrupted
        raise Cancelled("the session was cancelled by request")
