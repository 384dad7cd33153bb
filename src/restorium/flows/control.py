"""What a long step reads and writes while it runs: whether to stop, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, NoReturn, Protocol, TypeVar, cast
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import Cancelled, DatabaseUnavailable

T = TypeVar("T")

_LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 4.0
"""So long a cancelled step has to come to its end by itself, which storage that does not answer keeps it from."""


class _Task(Generic[T]):
    """Work in a thread of its own, which nothing waits for at the end of the process."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._work = work
        self._value: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="step", daemon=True).start()

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._error = error
        finally:
            self.done.set()


class Rows(Protocol):
    """The catalog's module of one kind of sessions."""

    def get(self, connection: Connection, session_id: UUID) -> Row: ...


def is_cancelled(database: Database, rows: Rows, session_id: UUID, hold: str) -> bool:
    """Whether a session is asked to end.

    Raises NotFound, and Interrupted if that hold of the session has been lost: its worker was thought dead.
    """
    with database.read() as connection:
        session = rows.get(connection, session_id)
    if session.hold != hold:
        raise Interrupted
    asked: bool = session.cancel_requested
    return asked


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
        self.report = report
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
            self.report(count)

    def check(self) -> None:
        """Raise Interrupted if the process stops, Cancelled if the session's caller asked for it."""
        if self.cancelled():
            self._unwind()

    def watched(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, each after a ``check``."""
        for item in items:
            self.check()
            yield item

    def within_patience(self, work: Callable[[], T]) -> T:
        """What ``work`` gives or raises; but once a cancel has waited for long, Cancelled, and it is left to itself.

        ``work`` must look whether to stop after whatever it may wait for, before it makes or notes anything.
        """
        task = _Task(work)
        asked_at: float | None = None
        while not task.done.wait(_LOOK_SECONDS):
            now = self._engine.clock.monotonic()
            if not self._asked(now):
                continue
            asked_at = now if asked_at is None else asked_at
            if now - asked_at >= PATIENCE_SECONDS:
                self._unwind()
        return task.outcome()

    def _asked(self, now: float) -> bool:
        """As ``cancelled``, in place of work that does not look itself."""
        if not self._flag and now > self._next_look + _LOOK_SECONDS:
            with suppress(DatabaseUnavailable):
                self._flag = self._is_cancelled()
        return self._flag or self._engine.stopping.is_set()

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
