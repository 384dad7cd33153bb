"""Changes of sessions, told to whoever follows them, whichever process makes them.

One thread looks for changes, while somebody follows: once for all who follow and see the same, whose rows it reads
once. A follower that is slow gets the last state of each session that has changed meanwhile, not all states it went
through.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from anyio import to_thread
from sqlalchemy.engine import Connection

from restorium.catalog import changes, drill_runs, job_sessions, restore_sessions, sessions
from restorium.catalog.changes import Place
from restorium.catalog.database import Database
from restorium.catalog.listing import Filter, Listing, Order, Row, Visibility
from restorium.vocabulary.errors import InvalidInput

LOOK_SECONDS = 0.2
TICK_SECONDS = 2.0
_PAGE = 500

_log = structlog.get_logger(__name__)

RESTORES = restore_sessions.listing
JOBS = job_sessions.listing
DRILLS = drill_runs.listing
"""What can be followed."""

Form = Callable[[Row, datetime], bytes]
"""Writes a session as it was at a moment."""


class Change:
    """One session as it was at a moment, and what was written of it for other followers already."""

    __slots__ = ("_written", "at", "row")

    def __init__(self, row: Row, at: datetime) -> None:
        self.row = row
        self.at = at
        self._written: dict[Form, bytes] = {}

    def written(self, form: Form) -> bytes:
        """The session in this form, which is used once for all followers."""
        found = self._written.get(form)
        if found is None:
            found = self._written[form] = form(self.row, self.at)
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """Sessions that changed. With them come all changes up to ``place``; None if there are more to come."""

    place: Place | None
    changes: Sequence[Change]


@dataclass(eq=False, slots=True)
class _Follower:
    """Who waits for changes in an event loop, of all sessions or of one."""

    session_id: UUID | None
    loop: asyncio.AbstractEventLoop
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    pending: dict[UUID, Change] = field(default_factory=dict)
    since: Place | None = None
    place: Place | None = None

    def put(self, since: Place, place: Place, changed: Mapping[UUID, Change]) -> None:
        """In the feed's thread, which holds its lock."""
        if self.session_id is None:
            self.pending.update(changed)
        elif self.session_id in changed:
            self.pending[self.session_id] = changed[self.session_id]
        if self.place is None:
            self.since = since
        self.place = place
        if self.pending:
            self.wake()

    def wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.ready.set)
        except RuntimeError:  # its loop is closed, and it is about to be forgotten
            return


_Followed = tuple[Listing, Visibility]
"""What is followed, as whom."""


@dataclass(eq=False, slots=True)
class _Group:
    """All who follow the same and see the same of it, and up to where they were told."""

    place: Place
    followers: set[_Follower] = field(default_factory=set)


class Feed:
    """The changes of one database. ``follow`` may be called in any event loop, all else in any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._groups: dict[_Followed, _Group] = {}
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def closed(self) -> bool:
        """Whether the process stops and nobody is told anything any more."""
        return self._closed.is_set()

    def place(self, text: str) -> Place:
        """The place that ``str`` wrote. Raises InvalidInput if it is none, or none that this database has come to."""
        place = Place.parse(text)
        with self._database.read() as connection:
            if place.high > changes.present(connection).high:
                raise InvalidInput(
                    f"the changes of sessions have not come to {text!r}",
                    hint="It is of another database. Leave it out to begin with the present state.",
                )
        return place

    async def follow(
        self,
        visible: Visibility,
        *,
        of: Listing = RESTORES,
        after: Place | None = None,
        session_id: UUID | None = None,
    ) -> AsyncGenerator[Batch, None]:
        """What has changed ``of`` RESTORES, JOBS or DRILLS after that place, then each change until the process stops.

        Without a place, the present state first: of all sessions that have not stopped, or of the one that is asked
        for. The first batch that has a place says that this is complete; it has no changes. Every two seconds there is
        a batch, perhaps of nothing, so that the caller can see to whether its follower is still there and may go on.
        """
        follower = _Follower(session_id, asyncio.get_running_loop())
        followed = (of, visible)
        await to_thread.run_sync(self._join, followed, follower)
        try:
            start, read, told = None, Place(0, 0), dict[UUID, Place]()
            pages = self._pages(followed, after, session_id)
            while (page := await to_thread.run_sync(next, pages, None)) is not None:
                read, rows = page
                start = start or read
                told |= {row.id: read for row in rows if not start.covers(row.change)}
                now = self._database.clock.now()
                yield Batch(None, [Change(row, now) for row in rows])
            assert start is not None
            yield Batch(start, ())
            while not self._closed.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(follower.ready.wait(), TICK_SECONDS)
                since, place, changed = self._take(follower)
                if not since.includes(read):
                    changed = [
                        change
                        for change in changed
                        if not told.get(change.row.id, start).covers(change.row.change)
                    ]
                yield Batch(place, changed)
        finally:
            self._leave(followed, follower)

    def close(self) -> None:
        """End all that is followed, at once."""
        self._closed.set()
        with self._lock:
            for group in self._groups.values():
                for follower in group.followers:
                    follower.wake()
            watcher = self._watcher
        if watcher is not None:
            watcher.join()

    def _join(self, followed: _Followed, follower: _Follower) -> None:
        with self._database.read() as connection:
            place = changes.present(connection)
        with self._lock:
            self._groups.setdefault(followed, _Group(place)).followers.add(follower)
            if self._watcher is None and not self._closed.is_set():
                self._watcher = threading.Thread(target=self._watch, name="feed", daemon=True)
                self._watcher.start()

    def _leave(self, followed: _Followed, follower: _Follower) -> None:
        with self._lock:
            group = self._groups[followed]
            group.followers.discard(follower)
            if not group.followers:
                del self._groups[followed]

    def _take(self, follower: _Follower) -> tuple[Place, Place | None, Sequence[Change]]:
        with self._lock:
            follower.ready.clear()
            since, place, changed = follower.since, follower.place, list(follower.pending.values())
            follower.since = follower.place = None
            follower.pending = {}
        return since or Place(0, 0), place, changed

    def _pages(
        self, followed: _Followed, after: Place | None, session_id: UUID | None
    ) -> Iterator[tuple[Place, Sequence[Row]]]:
        """What a follower begins with, each page with the place at which it was read.

        No connection is held while the follower has a page: one that takes its time would keep it from all others.
        """
        with self._database.read() as connection:
            first = changes.present(connection), self._one(connection, followed, after, session_id)
        yield first
        if session_id is not None:
            return
        if after is not None:
            lists: Sequence[tuple[Filter, Order]] = [(changes.after(after), [("change", False)])]
        else:
            lists = [(state, [("created_at", False)]) for state in sessions.open_states()]
        for where, order in lists:
            yield from self._list(followed, where, order)

    def _one(
        self, connection: Connection, followed: _Followed, after: Place | None, session_id: UUID | None
    ) -> Sequence[Row]:
        listing, visible = followed
        row = None if session_id is None else listing.one(connection, session_id, visible)
        return [] if row is None or (after is not None and after.covers(row.change)) else [row]

    def _list(
        self, followed: _Followed, where: Filter, order: Order
    ) -> Iterator[tuple[Place, Sequence[Row]]]:
        """In many short reads: none waits for the follower."""
        listing, visible = followed
        behind: Sequence[Any] | None = None
        while True:
            with self._database.read() as connection:
                rows, behind = listing.following(
                    connection, where=where, order=order, after=behind, limit=_PAGE, visible=visible
                )
                place = changes.present(connection)
            yield place, rows
            if behind is None:
                return

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with self._lock:
                if not self._groups:
                    self._watcher = None
                    return
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  followers are told when the database answers again
                _log.warning("changes are looked for again soon", error=repr(error))

    def _look(self) -> None:
        with self._lock:
            groups = list(self._groups.items())
        with self._database.read() as connection:
            place = changes.present(connection)
            for followed, group in groups:
                if group.place != place:
                    self._tell(group, place, self._changed(connection, followed, group.place))

    def _changed(self, connection: Connection, followed: _Followed, since: Place) -> Mapping[UUID, Change]:
        now = self._database.clock.now()
        listing, visible = followed
        rows = listing.stream(
            connection, where=changes.after(since), order=[("change", False)], visible=visible
        )
        return {row.id: Change(row, now) for row in rows}

    def _tell(self, group: _Group, place: Place, changed: Mapping[UUID, Change]) -> None:
        with self._lock:
            since, group.place = group.place, place
            for follower in group.followers:
                follower.put(since, place, changed)
