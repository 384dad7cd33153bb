"""Runs of drill plans: started, followed, cancelled, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import drill_runs, drill_vms
from restorium.catalog.listing import Compare, Row
from restorium.catalog.visibility import may_see
from restorium.flows import drills
from restorium.native.drill_results import DrilledVm, drilled
from restorium.native.exchange import show
from restorium.native.lists import Choice, guid, one_of, page_of, period
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.roles import EVERYONE, RESTORERS
from restorium.vocabulary.errors import AccessDenied, NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState

_CHOICE = Choice(
    "-created_at",
    ("created_at",),
    {
        "plan": guid("plan_id"),
        "state": one_of("state", SessionState),
        "result": one_of("result", SessionResult),
        **period("created_at"),
    },
)


class DrillRunSummary(msgspec.Struct, kw_only=True):
    """One run in a list. Counts are of the VMs that the caller may see."""

    id: UUID
    name: str
    plan_id: UUID | None
    plan_name: str
    state: SessionState
    result: SessionResult
    objective_seconds: int
    created_at: datetime
    ended_at: datetime | None
    requested_by: str
    vms: int
    succeeded: int
    warned: int
    failed: int


class DrillRun(DrillRunSummary, kw_only=True):
    """One run with all that is known of it: to whom may see all of its VMs, ``reason`` and ``events`` too."""

    requested_from: str | None
    cancel_requested: bool
    reason: Reason | None
    results: list[DrilledVm]
    events: list[Event]


def _start(call: Call) -> DrillRun:
    """Run a plan now. Whoever may restore some VMs only may not."""
    if call.visible.account_id is not None:
        raise AccessDenied(
            f"{call.caller.account} may not restore all VMs, which a drill plan chooses from",
            hint="Ask a Portal Administrator to run it.",
        )
    return _run(call, drills.start(call.engine, call.id, call.caller))


def _list(call: Call) -> Page[DrillRunSummary]:
    """Newest first; ``plan`` is the id of a plan. ``state`` and ``result`` are one or more names with commas between
    them; ``since`` and ``until`` are about when it was asked for.
    """

    return page_of(
        call, drill_runs.listing, _CHOICE, lambda connection, rows: summaries(call, connection, rows)
    )


def summaries(call: Call, connection: Connection, rows: Sequence[Row]) -> list[DrillRunSummary]:
    """Rows of drill_runs.listing, with counts of the VMs that the caller may see."""
    counts = drill_vms.tallies(connection, [row.id for row in rows], call.visible)
    return [DrillRunSummary(**_summary(row, counts[row.id])) for row in rows]


def _get(call: Call) -> DrillRun:
    return _run(call, call.id)


def _cancel(call: Call) -> DrillRun:
    """Ask a run to stop, and to remove what it has restored. Whoever may not see all of its VMs may not."""
    _run(call, call.id)
    with call.engine.database.read() as connection:
        if not _sees_all(call, connection, call.id):
            raise AccessDenied(f"{call.caller.account} may not restore all VMs of the drill run {call.id}")
    drills.cancel(call.engine, call.id)
    return _run(call, call.id)


def _run(call: Call, run_id: UUID) -> DrillRun:
    with call.engine.database.read() as connection:
        return whole(call, connection, run_id)[0]


def whole(call: Call, connection: Connection, run_id: UUID, *, after: int = 0) -> tuple[DrillRun, int]:
    """All of a run, with its events behind that one, and the last of these, ``after`` if there is none.

    Raises NotFound, also for what the caller may not see.
    """
    row = drill_runs.listing.one(connection, run_id, call.visible)
    if row is None:
        raise NotFound(f"there is no drill run {run_id}")
    found = drill_vms.listing.page(
        connection,
        where=Compare("run_id", "==", run_id),
        order=[("position", False)],
        visible=call.visible,
    )
    counts = drill_vms.tallies(connection, [run_id], call.visible)[run_id]
    sees_all = _sees_all(call, connection, run_id)
    events = drill_runs.events(connection, run_id, after=after) if sees_all else ()
    run = DrillRun(
        **_summary(row, counts),
        requested_from=row.requested_from if sees_all else None,
        cancel_requested=row.cancel_requested,
        reason=reason_of(row) if sees_all else None,
        results=[drilled(vm) for vm in found],
        events=[show(event, Event) for event in events],
    )
    return run, events[-1].id if events else after


def _sees_all(call: Call, connection: Connection, run_id: UUID) -> bool:
    return all(
        may_see(connection, call.visible, vm.host_id, vm.vm_ref)
        for vm in drill_vms.of_run(connection, run_id)
    )


def _summary(row: Row, counts: dict[SessionResult, int]) -> dict[str, Any]:
    named = ("id", "name", "plan_id", "plan_name", "state", "result", "objective_seconds", "created_at")
    return {name: getattr(row, name) for name in (*named, "ended_at", "requested_by")} | {
        "vms": sum(counts.values()),
        "succeeded": counts.get(SessionResult.SUCCESS, 0),
        "warned": counts.get(SessionResult.WARNING, 0),
        "failed": counts.get(SessionResult.FAILED, 0),
    }


_RUN = "/drill-runs/{id}"

OPERATIONS = (
    Operation("POST", "/drill-plans/{id}/run", _start, RESTORERS, status=202),
    Operation("GET", "/drill-runs", _list, EVERYONE, query=_CHOICE.query),
    Operation("GET", _RUN, _get, EVERYONE),
    Operation("POST", f"{_RUN}/cancel", _cancel, RESTORERS, status=202),
)
