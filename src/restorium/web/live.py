"""What a page follows: parts of it as server-sent events, made anew when a session has changed or a dry run goes on.

``parts`` brings the parts, whose ids say what they take the place of; ``place`` brings none, but the place to go on
from, which is the id of every event; ``end`` says that nothing will change any more, ``left`` that nobody is logged on
any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from anyio import sleep, to_thread
from starlette.responses import StreamingResponse

from restorium.catalog import logons
from restorium.catalog.changes import Place
from restorium.catalog.listing import Listing, Row, Visibility
from restorium.flows import feed
from restorium.native.errors import shown
from restorium.native.lines import Lines
from restorium.native.restores import summary
from restorium.vocabulary.errors import NotFound, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionState
from restorium.web.pages import drills, jobs, points, repository_forms, sessions
from restorium.web.visit import Page, Visit

_QUIET = ": nothing new\n\n"
_END = "event: end\ndata: nothing changes any more\n\n"
_LOOK_SECONDS = 0.5
_HEADERS = {"X-Accel-Buffering": "no"}

Parts = Callable[[Row], str]


def _all(visit: Visit) -> StreamingResponse:
    """Rows of the lists of restore sessions."""

    def row(session: Row) -> str:
        return visit.render("session_row.html", session=summary(session, visit.engine.clock.now()))

    return _streamed(visit, row)


def _one(visit: Visit) -> StreamingResponse:
    """The parts of the page of one restore session."""
    session_id = parse_guid(visit.place("id"))
    visit.api.get("/restore-sessions/{id}", id=str(session_id))

    def parts(_session: Row) -> str:
        found = visit.api.get("/restore-sessions/{id}", id=str(session_id))
        return visit.render("session_parts.html", **sessions.parts(visit, found))

    return _streamed(visit, parts, only=session_id)


def _job_run(visit: Visit) -> StreamingResponse:
    """The parts of the page of one run of a job."""
    session_id = parse_guid(visit.place("id"))
    visit.api.get("/job-sessions/{id}", id=str(session_id))

    def parts(_session: Row) -> str:
        found = visit.api.get("/job-sessions/{id}", id=str(session_id))
        return visit.render("job_session_parts.html", **jobs.parts(visit, found))

    return _streamed(visit, parts, of=feed.JOBS, only=session_id)


def _drill_run(visit: Visit) -> StreamingResponse:
    """The parts of the page of one run of a drill plan."""
    run_id = parse_guid(visit.place("id"))
    visit.api.get("/drill-runs/{id}", id=str(run_id))

    def parts(_run: Row) -> str:
        found = visit.api.get("/drill-runs/{id}", id=str(run_id))
        return visit.render("drill_run_parts.html", **drills.parts(visit, found))

    return _streamed(visit, parts, of=feed.DRILLS, only=run_id)


def _repository(visit: Visit) -> StreamingResponse:
    """What goes on in one repository."""
    visit.need("POST", "/repositories/{id}/verify")
    repository_forms.find(visit)
    return StreamingResponse(_worked(visit), 200, _HEADERS, "text/event-stream")


async def _worked(visit: Visit) -> AsyncIterator[str]:
    def parts() -> str:
        return visit.render("repository_work.html", **repository_forms.parts(visit))

    told = ""
    while not visit.engine.stopping.is_set():
        work = visit.works.last(parse_guid(visit.place("id")))
        running = work is not None and work.running
        if await to_thread.run_sync(_sees, visit) is None:
            yield _event("left", "nobody is logged on any more", None)
            return
        if (text := await to_thread.run_sync(parts)) != told:
            yield _event("parts", text, None)
            told = text
        if not running:
            yield _END
            return
        await sleep(_LOOK_SECONDS)


def _plan(visit: Visit) -> StreamingResponse:
    """What a restore would come to, while it is found out."""
    try:
        lines = points.planned(visit)
    except RestoriumError as error:
        # A refusal that is no stream would be asked for again and again.
        refusal = _told(visit, error=shown(error)) + _END
        return StreamingResponse(iter([refusal]), 200, _HEADERS, "text/event-stream")
    return StreamingResponse(_planned(visit, lines), 200, _HEADERS, "text/event-stream")


async def _planned(visit: Visit, lines: Lines) -> AsyncIterator[str]:
    async for line in lines.body_iterator:
        found = msgspec.json.decode(line)
        told = partial(_told, visit, plan=found.get("result"), error=found.get("error"))
        yield await to_thread.run_sync(told)
    yield _END


def _told(visit: Visit, *, plan: Any = None, error: Any = None) -> str:
    return _event("parts", visit.render("plan.html", plan=plan, error=error), None)


def _streamed(
    visit: Visit, parts: Parts, *, of: Listing = feed.RESTORES, only: UUID | None = None
) -> StreamingResponse:
    last = visit.request.headers.get("last-event-id") or visit.query.get("last_event_id")
    after = None if not last else visit.engine.feed.place(last)
    events = _events(visit, parts, of, after, only)
    return StreamingResponse(events, 200, _HEADERS, "text/event-stream")


async def _events(
    visit: Visit, parts: Parts, of: Listing, after: Place | None, only: UUID | None
) -> AsyncIterator[str]:
    account = visit.logon.account
    visible = Visibility.of(account)
    following = visit.engine.feed.follow(visible, of=of, after=after, session_id=only)
    place = told = after
    try:
        async for batch in following:
            seen = await to_thread.run_sync(_sees, visit)
            if seen is None:
                yield _event("left", "nobody is logged on any more", None)
                return
            if seen != (visible, account.roles):
                return  # what comes next is cut anew
            place = batch.place or place
            texts, stopped = [], False
            for change in batch.changes:
                try:
                    texts.append(await to_thread.run_sync(partial(parts, change.row)))
                except NotFound:
                    continue
                stopped = stopped or change.row.state is SessionState.STOPPED
            if texts:
                yield _event("parts", "".join(texts), place)
            else:
                yield _QUIET if place == told else _event("place", "nothing to show", place)
            told = place
            if only is not None and stopped:
                yield _END
                return
    finally:
        await following.aclose()


def _sees(visit: Visit) -> tuple[Visibility, frozenset[Role]] | None:
    """What the visitor may see and do now; None without a logon session. Being looked at is no use of one."""
    with visit.engine.database.read() as connection:
        found = logons.find(connection, visit.logon.token, visit.engine.settings.em.logon_idle)
    return None if found is None else (Visibility.of(found.account), found.account.roles)


def _event(name: str, text: str, place: Place | None) -> str:
    data = "\n".join(f"data: {line}" for line in text.splitlines())
    told = "" if place is None else f"id: {place}\n"
    return f"event: {name}\n{told}{data}\n\n"


PAGES = (
    Page("GET", "/live/sessions", _all),
    Page("GET", "/live/sessions/{id}", _one),
    Page("GET", "/live/job-sessions/{id}", _job_run),
    Page("GET", "/live/drills/runs/{id}", _drill_run),
    Page("GET", "/live/repositories/{id}", _repository),
    Page("GET", "/live/points/{id}/plan", _plan),
)
