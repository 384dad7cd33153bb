"""Sessions of all kinds as server-sent events: the present state, then each change, for as long as somebody listens.

The id of an event is a place in the order of changes. Who sends it back as ``Last-Event-ID`` is told what changed
meanwhile, also by a server that was started anew. Of one session, the id also says which of its events were told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import msgspec
from anyio import to_thread
from sqlalchemy.engine import Connection
from starlette.responses import StreamingResponse

from restorium.catalog import changes
from restorium.catalog.changes import Place
from restorium.catalog.listing import Listing, Visibility
from restorium.flows.feed import Batch, Form
from restorium.native.exchange import whole as whole_number
from restorium.native.operation import Call, Operation
from restorium.native.tokens import find_logon
from restorium.vocabulary.errors import InvalidInput, NotAuthenticated, NotFound
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionState

_QUIET_SECONDS = 15.0
_KEEP_ALIVE = b":\n\n"
_LARGEST = 2**63 - 1
_QUERY = ("last_event_id",)


class Events(StreamingResponse):
    """Server-sent events: ``session`` with a session, ``present`` when all there was to begin with is told, and of one
    session ``end`` when it has stopped. Without any for 15 seconds, a comment.
    """

    media_types: ClassVar = ("text/event-stream",)
    media_type = "text/event-stream"

    def __init__(self, content: AsyncGenerator[bytes, None]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@dataclass(frozen=True, slots=True)
class Told:
    """Sessions that can be followed: where, by whom, and as what.

    of: what the feed calls them. form: what is told of one that has changed, to those who follow all. whole: all of one
    for a caller, with its events behind that number, and the number of the last; raises NotFound.
    """

    path: str
    roles: frozenset[Role]
    of: Listing
    form: Callable[[Call], Form]
    whole: Callable[[Call, Connection, UUID, int], tuple[msgspec.Struct, SessionState, int]]

    def operations(self) -> tuple[Operation, Operation]:
        """Following all and following one."""

        def follow_all(call: Call) -> Events:
            return _all(self, call)

        def follow_one(call: Call) -> Events:
            return _one(self, call)

        follow_all.__doc__, follow_one.__doc__ = _all.__doc__, _one.__doc__
        return (
            Operation("GET", f"{self.path}/events", follow_all, self.roles, query=_QUERY),
            Operation("GET", f"{self.path}/{{id}}/events", follow_one, self.roles, query=_QUERY),
        )


def _all(told: Told, call: Call) -> Events:
    """Every change of a session that the caller may see, first those sessions that have not stopped.

    ``last_event_id``, or the header Last-Event-ID: the id of the last event that was received before.
    """
    last = _last_event_id(call)
    after = None if last is None else call.engine.feed.place(last)
    return _answer(call, _told(told, call, after))


def _one(told: Told, call: Call) -> Events:
    """A session whole, and again at each change, with those of its events that are new; until it has stopped."""
    last = _last_event_id(call)
    after, seen = None, 0
    if last is not None:
        place, _, number = last.rpartition(";")
        known = whole_number(number, 0, _LARGEST)
        if known is None:
            raise InvalidInput(
                f"the last event's id {last[:100]!r} is none of one session",
                hint="Leave it out to begin anew.",
            )
        after, seen = call.engine.feed.place(place), known
    with call.engine.database.read() as connection:
        told.whole(call, connection, call.id, _LARGEST)
    return _answer(call, _told_of_one(told, call, call.id, after, seen))


def _answer(call: Call, told: AsyncGenerator[bytes, None]) -> Events:
    """To HEAD, which has no body, the stream is over at once."""
    return Events(_nothing() if call.request.method == "HEAD" else told)


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield


def _last_event_id(call: Call) -> str | None:
    request = call.request
    return request.query_params.get("last_event_id") or request.headers.get("Last-Event-ID") or None


async def _told(told: Told, call: Call, after: Place | None) -> AsyncGenerator[bytes, None]:
    form = told.form(call)
    async with aclosing(_batches(told, call, after)) as batches:
        async for batch in batches:
            if batch is None:
                yield _KEEP_ALIVE
                continue
            written = await to_thread.run_sync(_written, batch, form) if batch.changes else []
            if batch.place is not None and written:
                written[-1] = b"id: %s\n%s" % (str(batch.place).encode(), written[-1])
            elif batch.place is not None:
                written = [_present(str(batch.place))]
            yield b"".join(written)


def _written(batch: Batch, form: Form) -> list[bytes]:
    return [change.written(form) for change in batch.changes]


async def _told_of_one(
    told: Told, call: Call, session_id: UUID, after: Place | None, seen: int
) -> AsyncGenerator[bytes, None]:
    def read() -> tuple[Place, msgspec.Struct, SessionState, int]:
        with call.engine.database.read() as connection:
            return changes.present(connection), *told.whole(call, connection, session_id, seen)

    def stands() -> SessionState:
        with call.engine.database.read() as connection:
            return told.whole(call, connection, session_id, _LARGEST)[1]

    place, state = after, None
    async with aclosing(_batches(told, call, after, session_id)) as batches:
        async for batch in batches:
            if batch is None:
                yield _KEEP_ALIVE
                continue
            try:
                if any(place is None or not place.covers(change.row.change) for change in batch.changes):
                    place, session, state, seen = await to_thread.run_sync(read)
                    yield b"id: %s;%d\n%s" % (str(place).encode(), seen, event("session", session))
                if batch.place is not None and not batch.changes:
                    place = place or batch.place
                    state = state or await to_thread.run_sync(stands)
                    yield _present(f"{place};{seen}")
            except NotFound:  # it is out of the caller's scope now
                return
            if state is SessionState.STOPPED:
                yield event("end", {})
                return


async def _batches(
    told: Told, call: Call, after: Place | None, session_id: UUID | None = None
) -> AsyncGenerator[Batch | None, None]:
    """What the feed tells, for as long as the caller is logged on; None where a comment is due.

    Following is a use of the logon session. Whether the caller is bound to a restore scope is looked at every two
    seconds; where that has changed, the present state is told anew, or the stream of one session ends.
    """
    clock = call.engine.clock
    visible, looked, spoke = call.visible, clock.monotonic(), clock.monotonic()
    while True:
        async with aclosing(
            call.engine.feed.follow(visible, of=told.of, after=after, session_id=session_id)
        ) as following:
            async for batch in following:
                now = clock.monotonic()
                if batch.changes or batch.place is not None:
                    yield batch
                    spoke = now
                elif now - spoke >= _QUIET_SECONDS:
                    yield None
                    spoke = now
                if now - looked >= 2:
                    looked = now
                    seen = await to_thread.run_sync(_sees, call, told.roles)
                    if seen is None or (seen != visible and session_id is not None):
                        return
                    if seen != visible:
                        visible, after = seen, None
                        break
            else:
                return


def _sees(call: Call, roles: frozenset[Role]) -> Visibility | None:
    """What the caller may see now; None if the logon session has ended, or the account may not follow any more."""
    try:
        account = find_logon(call.engine, call.logon.token).account
    except NotAuthenticated:
        return None
    return Visibility.of(account) if roles & account.roles else None


def event(name: str, data: object) -> bytes:
    """A server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


def _present(place: str) -> bytes:
    return b"id: %s\n%s" % (place.encode(), event("present", {}))
