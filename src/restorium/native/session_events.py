"""Restore sessions, job sessions and drill runs as server-sent events: the same for all three."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.flows import feed
from restorium.flows.feed import Form
from restorium.native import drill_runs, jobs, restores
from restorium.native.exchange import show
from restorium.native.following import Told, event
from restorium.native.operation import Call
from restorium.native.roles import EVERYONE, MONITORS
from restorium.vocabulary.sessions import SessionState

_Whole = tuple[msgspec.Struct, SessionState, int]


def _restore(row: Row, at: datetime) -> bytes:
    return event("session", restores.summary(row, at))


def _whole_restore(call: Call, connection: Connection, session_id: UUID, after: int) -> _Whole:
    row = restores.find(connection, session_id, call.visible)
    session, last = restores.whole(connection, row, call.engine.clock.now(), after=after)
    return session, session.state, last


def _job(row: Row, _at: datetime) -> bytes:
    return event("session", show(row, jobs.JobSessionSummary))


def _whole_job(call: Call, connection: Connection, session_id: UUID, after: int) -> _Whole:
    session, last = jobs.whole(call, connection, session_id, after=after)
    return session, session.state, last


def _drill(call: Call) -> Form:
    """Counts are of the VMs that the caller may see."""

    def form(row: Row, _at: datetime) -> bytes:
        with call.engine.database.read() as connection:
            return event("session", drill_runs.summaries(call, connection, [row])[0])

    return form


def _whole_drill(call: Call, connection: Connection, session_id: UUID, after: int) -> _Whole:
    run, last = drill_runs.whole(call, connection, session_id, after=after)
    return run, run.state, last


OPERATIONS = (
    *Told("/restore-sessions", EVERYONE, feed.RESTORES, lambda call: _restore, _whole_restore).operations(),
    *Told("/job-sessions", MONITORS, feed.JOBS, lambda call: _job, _whole_job).operations(),
    *Told("/drill-runs", EVERYONE, feed.DRILLS, _drill, _whole_drill).operations(),
)
