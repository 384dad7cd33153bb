"""Verifying and pruning that the page began: it goes on while nobody looks, until its end or until it is stopped.

It is kept by this process alone. Both may be stopped anywhere, so a server that ends stops them and leaves nothing
half done; what a verification found of each restore point is in the catalog.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from restorium.native.errors import shown
from restorium.native.lines import Lines
from restorium.vocabulary.errors import Cancelled, Conflict


class What(StrEnum):
    VERIFY = "verify"
    PRUNE = "prune"


@dataclass(slots=True)
class Work:
    """``result`` and ``error`` are those of the last line: both None while it goes on. ``total`` None is unknown."""

    what: What
    asked_by: str
    begun_at: datetime
    phase: str = "starting"
    done: int = 0
    total: int | None = None
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        return self.result is None and self.error is None

    def follow(self, lines: Lines) -> None:
        """Take it up to its end."""
        for line in lines.lines:
            told = msgspec.json.decode(line)
            if "result" in told or "error" in told:
                self.result, self.error = told.get("result"), told.get("error")
                return
            self.phase, self.done, self.total = told["phase"], told["done"], told["total"]
            if self.stopping.is_set():
                lines.lines.close()
                self.error = shown(Cancelled(f"the {self.what} was stopped", hint="Begin it again."))
                return


class Works:
    """The last work on each repository."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[UUID, Work] = {}

    def last(self, repository_id: UUID) -> Work | None:
        """What goes on or ended last since the server began."""
        return self._last.get(repository_id)

    def begin(self, repository_id: UUID, work: Work, start: Callable[[], Lines]) -> None:
        """Raises Conflict if one goes on there, and what ``start`` raises."""
        with self._lock:
            last = self._last.get(repository_id)
            if last is not None and last.running:
                raise Conflict(
                    f"the {last.what} that {last.asked_by} began still goes on",
                    hint="Wait for its end, or stop it.",
                )
            lines = start()
            self._last[repository_id] = work
        threading.Thread(target=work.follow, args=(lines,), name=work.what, daemon=True).start()

    def stop(self, repository_id: UUID) -> None:
        """Nothing happens if nothing goes on."""
        last = self._last.get(repository_id)
        if last is not None:
            last.stopping.set()
