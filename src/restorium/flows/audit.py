"""The audit log: who did what, in a chain that shows when something of it was changed (``evidence.chain``).

What an account does through an API has two entries: one committed before it is begun, and one with its outcome when
it is over. So nothing is done without a record, also where the process dies in between: then the first stands alone. A
logon, a refusal, a download and what the server does by itself have one entry, where possible written in the
transaction that does it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
import structlog
from sqlalchemy.engine import Connection

from restorium.catalog import audit as rows
from restorium.catalog.audit import Sealed, Wanted
from restorium.catalog.listing import Row
from restorium.evidence.canonical import canonical
from restorium.evidence.chain import NOTHING, Entry, Head, check, link
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import AuditBroken, DatabaseUnavailable, RestoriumError

__all__ = ["Wanted"]

_log = structlog.get_logger(__name__)

OK = "ok"
_MOST_CHARACTERS = 1024
_SAME_DOWNLOAD_SECONDS = 600.0
_MOST_DOWNLOADS = 1000
_downloads: WeakKeyDictionary[Engine, OrderedDict[Act, float]] = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Act:
    """What is done by whom: ``operation`` is its name, which never holds what a caller wrote; ``subject`` are the ids
    in its path. The server itself is no actor.
    """

    operation: str
    actor: str | None = None
    address: str | None = None
    subject: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """Filled in while an act is carried out. ``made``: what it made. ``failure``: the code of what went wrong."""

    made: str | None = None
    failure: str | None = None
    _tell: Callable[[], None] = field(default=lambda: None, repr=False)
    _is_later: bool = False

    def later(self) -> Callable[[str | None], None]:
        """To be called with the code of what went wrong, or None, if the act goes on when the block is left."""
        self._is_later = True

        def ended(failure: str | None) -> None:
            self.failure = failure
            self._tell()

        return ended


class Content(msgspec.Struct, frozen=True):
    """What an entry says. ``docs/audit.md`` explains each member."""

    number: int
    at: datetime
    stage: Literal["begun", "ended", "done"]
    begun: int | None
    operation: str
    actor: str | None
    address: str | None
    subject: tuple[str, ...]
    outcome: str | None
    made: str | None


@contextmanager
def recorded(engine: Engine, act: Act) -> Iterator[Outcome]:
    """Record that the block is begun, and how it ended."""
    begun = begin(engine, act)
    outcome = Outcome(_tell=lambda: end(engine, act, begun, outcome))
    try:
        yield outcome
    except BaseException as error:
        outcome.failure = error.code if isinstance(error, RestoriumError) else RestoriumError.code
        end(engine, act, begun, outcome)
        raise
    if not outcome._is_later:
        end(engine, act, begun, outcome)


def begin(engine: Engine, act: Act) -> int:
    """Record that ``act`` is begun; gives the entry's number, for ``end``. Raises DatabaseUnavailable."""
    with engine.database.write() as connection:
        return _append(connection, act, "begun")


def end(engine: Engine, act: Act, begun: int, outcome: Outcome) -> None:
    """Record how an act ended. It has: a database that does not answer now is told to the log alone."""
    try:
        with engine.database.write() as connection:
            _append(connection, act, "ended", begun, outcome.failure or OK, outcome.made)
    except DatabaseUnavailable as error:
        _log.error("the end of an act could not be recorded", entry=begun, error=error.message)


def note(connection: Connection, act: Act, outcome: str = OK, made: str | None = None) -> None:
    """Record an act together with what the transaction does. Make it the transaction's last statement."""
    _append(connection, act, "done", None, outcome, made)


def refused(engine: Engine, act: Act, error: RestoriumError) -> None:
    """Record what somebody wanted to do and was not let."""
    with engine.database.write() as connection:
        note(connection, act, error.code)


def downloaded(engine: Engine, act: Act) -> None:
    """Record that something is downloaded, before it is; of what is fetched in ranges once in ten minutes.

    Raises DatabaseUnavailable.
    """
    known = _downloads.setdefault(engine, OrderedDict())
    moment = engine.clock.monotonic()
    with _lock:
        last = known.get(act)
    if last is not None and moment - last < _SAME_DOWNLOAD_SECONDS:
        return
    with engine.database.write() as connection:
        note(connection, act)
    with _lock:
        known[act] = moment
        known.move_to_end(act)
        while len(known) > _MOST_DOWNLOADS:
            known.popitem(last=False)


def page(engine: Engine, wanted: Wanted, *, before: int | None, limit: int) -> list[Content]:
    """Entries, the newest first, those before entry ``before``."""
    with engine.database.read() as connection:
        return [content_of(row) for row in rows.page(connection, wanted, before=before, limit=limit)]


def stream(engine: Engine, wanted: Wanted) -> Iterator[Row]:
    """Entries in their order: rows with number, content and hash."""
    with engine.database.read() as connection:
        yield from rows.stream(connection, wanted)


def head(engine: Engine) -> Head:
    """How many entries there are, and the hash of the last."""
    with engine.database.read() as connection:
        return _head(rows.head(connection))


def content_of(row: Row) -> Content:
    """What an entry says."""
    return msgspec.json.decode(row.content, type=Content)


def verify(connection: Connection, noted: bytes | None = None) -> Head:
    """The head of the log in this database, which is whole; ``noted`` is the hash of an entry, written down earlier.

    Raises AuditBroken.
    """
    found = check(map(_entry, rows.stream(connection)), noted)
    kept = _head(rows.head(connection))
    if kept.number > found.number:
        missing = kept.number - found.number
        raise AuditBroken(f"{missing} entries after entry {found.number} are missing: the log was cut off")
    if kept != found:
        raise AuditBroken(f"the log goes on after entry {kept.number}, with which it should end")
    return found


def _entry(row: Row) -> Entry:
    """Raises AuditBroken where the columns that are asked by say something else than the content."""
    try:
        said = content_of(row)
        agrees = (said.actor, said.operation, said.at) == (row.actor, row.operation, row.at)
    except (msgspec.DecodeError, UnicodeEncodeError):
        agrees = False
    if not agrees:
        raise AuditBroken(f"entry {row.number} was changed: its columns are not what its content says")
    return Entry(row.number, row.content, row.hash)


def _head(row: Row | None) -> Head:
    return Head(0, NOTHING) if row is None else Head(row.number, row.hash or NOTHING)


def _append(
    connection: Connection,
    act: Act,
    stage: Literal["begun", "ended", "done"],
    begun: int | None = None,
    outcome: str | None = None,
    made: str | None = None,
) -> int:
    actor, operation = _plain(act.actor), act.operation

    def seal(number: int, at: datetime, previous: bytes | None) -> Sealed:
        said = Content(
            number,
            at,
            stage,
            begun,
            operation,
            actor,
            _plain(act.address),
            tuple(str(_plain(each)) for each in act.subject),
            outcome,
            _plain(made),
        )
        plain: dict[str, Any] = msgspec.to_builtins(said)
        plain["subject"] = list(plain["subject"])
        content = canonical(plain).decode()
        return Sealed(content, link(previous or NOTHING, content), actor, operation)

    return rows.append(connection, seal)


def _plain(text: str | UUID | None) -> str | None:
    """``text`` as both databases and any reader of JSON can hold it, and no longer than is of use."""
    if text is None:
        return None
    return str(text)[:_MOST_CHARACTERS].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
