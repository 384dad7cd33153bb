"""What goes on and went on: everything of one look, cut by what the caller may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import job_sessions, jobs, restore_sessions
from restorium.catalog.listing import AllOf, AnyOf, Compare, Filter, Listing, Row
from restorium.native.exchange import show
from restorium.native.jobs import JobSessionSummary
from restorium.native.operation import Call, Operation
from restorium.native.reasons import Reason, reason_of
from restorium.native.restores import RestoreSummary, summary
from restorium.native.roles import EVERYONE, MONITORS
from restorium.vocabulary.sessions import SessionResult, SessionState

_MOST = 20
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_BAD = AnyOf([Compare("result", "==", result) for result in (SessionResult.FAILED, SessionResult.WARNING)])
_UNFINISHED = Compare("state", "!=", SessionState.STOPPED)

S = TypeVar("S")


class Totals(msgspec.Struct):
    """How many sessions that began in a time ended how; ``running`` of them have not."""

    success: int
    warning: int
    failed: int
    running: int


class FailedBackup(JobSessionSummary, kw_only=True):
    """A backup that ended with a Warning or failed; its reason is for those who may see all of its VMs."""

    reason: Reason | None


class NextRun(msgspec.Struct):
    """When a job runs by itself."""

    id: str
    name: str
    next_run: datetime


class Backups(msgspec.Struct):
    """Of job sessions: ``running`` now, ``troubled`` in the last week, newest first, and the next runs."""

    running: list[JobSessionSummary]
    troubled: list[FailedBackup]
    day: Totals
    week: Totals
    next_runs: list[NextRun]


class Overview(msgspec.Struct):
    """Of restore sessions: ``running`` now, ``troubled`` in the last week, newest first.

    ``day`` and ``week`` count what began in the last 24 hours and 7 days. ``backups`` is null to who may not see jobs.
    """

    at: datetime
    running: list[RestoreSummary]
    troubled: list[RestoreSummary]
    day: Totals
    week: Totals
    backups: Backups | None


def _get(call: Call) -> Overview:
    """At most twenty of each kind of session."""
    now = call.engine.clock.now()
    with call.engine.database.read() as connection:
        look = _Look(call, connection, restore_sessions.listing, now)
        return Overview(
            at=now,
            running=look.sessions(_UNFINISHED, partial(summary, at=now)),
            troubled=look.troubled(partial(summary, at=now)),
            day=look.totals(_DAY),
            week=look.totals(_WEEK),
            backups=_backups(call, connection, now) if MONITORS & call.logon.account.roles else None,
        )


def _backups(call: Call, connection: Connection, now: datetime) -> Backups:
    look = _Look(call, connection, job_sessions.listing, now)
    due = jobs.listing.page(
        connection,
        where=Compare("next_run", "!=", None),
        order=[("next_run", False)],
        limit=_MOST,
        visible=call.visible,
    )
    return Backups(
        running=look.sessions(_UNFINISHED, partial(show, kind=JobSessionSummary)),
        troubled=look.troubled(partial(_failed_backup, whole=call.visible.account_id is None)),
        day=look.totals(_DAY),
        week=look.totals(_WEEK),
        next_runs=[NextRun(str(job.id), job.name, job.next_run) for job in due],
    )


def _failed_backup(row: Row, *, whole: bool) -> FailedBackup:
    members = msgspec.structs.asdict(show(row, JobSessionSummary))
    return FailedBackup(**members, reason=reason_of(row) if whole else None)


class _Look:
    """One kind of sessions, as the caller sees them."""

    def __init__(self, call: Call, connection: Connection, listing: Listing, now: datetime) -> None:
        self._call = call
        self._connection = connection
        self._listing = listing
        self._now = now

    def sessions(self, where: Filter, form: Callable[[Row], S]) -> list[S]:
        rows = self._listing.page(
            self._connection,
            where=where,
            order=[("created_at", True)],
            limit=_MOST,
            visible=self._call.visible,
        )
        return [form(row) for row in rows]

    def troubled(self, form: Callable[[Row], S]) -> list[S]:
        return self.sessions(AllOf([_BAD, self._since(_WEEK)]), form)

    def totals(self, span: timedelta) -> Totals:
        counts = (
            self._listing.count(
                self._connection,
                where=AllOf([Compare("result", "==", result), self._since(span)]),
                visible=self._call.visible,
            )
            for result in (
                SessionResult.SUCCESS,
                SessionResult.WARNING,
                SessionResult.FAILED,
                SessionResult.NONE,
            )
        )
        return Totals(*counts)

    def _since(self, span: timedelta) -> Compare:
        return Compare("created_at", ">=", self._now - span)


OPERATIONS = (Operation("GET", "/overview", _get, EVERYONE),)
