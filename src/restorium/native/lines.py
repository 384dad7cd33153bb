"""Work that is followed while it is done: one line of JSON after another, until its end or until nobody reads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import Any, ClassVar

import msgspec
import structlog
from starlette.responses import StreamingResponse

from restorium.flows.durable import Interrupted
from restorium.flows.maintenance import Progress
from restorium.native.errors import shown
from restorium.vocabulary.errors import Cancelled, RestoriumError

Work = Callable[[Progress, Callable[[], bool]], Any]
"""Given what to tell its progress to, and whether nobody reads any more; gives a dataclass."""

MEDIA_TYPE = "application/x-ndjson"
_LINE_SECONDS = 0.2

_log = structlog.get_logger(__name__)


class Lines(StreamingResponse):
    """Objects with ``phase``, ``done`` and ``total`` (null if unknown), the last with ``result`` or ``error``.

    lines: them; who does not send them reads these, and closes them to stop the work.
    """

    media_types: ClassVar = (MEDIA_TYPE,)
    media_type = MEDIA_TYPE

    def __init__(self, work: Work) -> None:
        self._ended: Callable[[str | None], None] = lambda failure: None
        self.lines = _follow(work, lambda failure: self._ended(failure))
        super().__init__(self.lines)

    def at_end(self, ended: Callable[[str | None], None]) -> None:
        """Let ``ended`` be called with the code of what went wrong, None if nothing did, before the last line."""
        self._ended = ended


def _follow(work: Work, tell: Callable[[str | None], None]) -> Generator[bytes]:
    """``work`` in a thread of its own. It is told to stop when the lines are not read to their end."""
    left = threading.Event()
    ended: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    state: dict[str, Any] = {"phase": "starting", "done": 0, "total": None}

    def progress(phase: str, done: int, total: int | None) -> None:
        nonlocal state
        state = {"phase": phase, "done": done, "total": total}

    def run() -> None:
        outcome = _outcome(work, progress, left.is_set)
        tell(outcome["error"]["code"] if "error" in outcome else None)
        ended.put(outcome)

    threading.Thread(target=run, name="followed", daemon=True).start()
    try:
        while True:
            try:
                last = ended.get(timeout=_LINE_SECONDS)
            except queue.Empty:
                yield _line(state)
                continue
            yield _line(last)
            return
    finally:
        left.set()


def _outcome(work: Work, progress: Progress, left: Callable[[], bool]) -> dict[str, Any]:
    try:
        return {"result": asdict(work(progress, left))}
    except Interrupted:
        return {"error": shown(Cancelled("the server stops", hint="Ask again when it is back."))}
    except RestoriumError as error:
        return {"error": shown(error)}
    except Exception as error:  # noqa: BLE001  the status was sent long ago: the last line says what is wrong
        _log.error("followed work failed", error=repr(error))
        return {"error": shown(RestoriumError("the server failed to carry this out"))}


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
