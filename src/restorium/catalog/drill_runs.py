"""Runs of drill plans, from their request to their end. Their VMs are ``drill_vms``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import changes, drill_vms, protection, rows, servers
from restorium.catalog.drill_plans import plan_of
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.sessions import SessionTable, add_event, events
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import drill_plans, drill_runs
from restorium.catalog.tables import drill_vms as vms
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.errors import Conflict
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.sessions import SessionResult, SessionState

__all__ = [
    "add_event",
    "advance",
    "create",
    "events",
    "get",
    "listing",
    "request_cancel",
    "running",
    "take",
    "unfinished",
]

_sessions = SessionTable(drill_runs, "drill run")
get = _sessions.get
take = _sessions.take
request_cancel = _sessions.request_cancel
unfinished = _sessions.unfinished


def create(connection: Connection, plan_id: UUID, caller: Caller) -> Row:
    """A Starting run of a plan, with the VMs whose turn it is, none of which is begun.

    Raises NotFound, and Conflict while an earlier run of the plan is unfinished.
    """
    row = rows.locked(connection, drill_plans, "drill plan", plan_id)
    if running(connection, plan_id) is not None:
        raise Conflict(f"drill plan {row.name!r} is running already", hint="Wait until its run has stopped.")
    plan = plan_of(row)
    candidates = protection.vms(connection, plan.selection)
    turn = candidates
    if plan.selection.percent is not None:
        share = plan.selection.share_of(len(candidates))
        turn = drill_vms.by_turn(connection, plan_id, candidates)[:share]
    at = now(connection)
    values = {
        "id": new_id(connection),
        "name": f"{row.name}@{at:%Y-%m-%d %H:%M:%S}",
        "plan_id": plan_id,
        "plan_name": row.name,
        "sandbox_host_id": row.sandbox_host_id,
        "objective_seconds": row.objective_seconds,
        "checks": row.checks,
        "population": len(candidates),
        "created_at": at,
        "state": SessionState.STARTING,
        "result": SessionResult.NONE,
        "requested_by": caller.account,
        "requested_from": caller.address,
        "cancel_requested": False,
    }
    run = connection.execute(sa.insert(drill_runs).values(values).returning(*drill_runs.columns)).one()
    drill_vms.add(connection, run.id, turn)
    return run


def running(connection: Connection, plan_id: UUID) -> Row | None:
    """The plan's unfinished run; None if it does not run."""
    return connection.execute(
        sa.select(drill_runs).where(
            drill_runs.c.plan_id == plan_id, drill_runs.c.state != SessionState.STOPPED
        )
    ).first()


def advance(
    connection: Connection,
    run_id: UUID,
    state: SessionState,
    *,
    result: SessionResult = SessionResult.NONE,
    reason_code: str | None = None,
    reason: str | None = None,
    hint: str | None = None,
) -> Row:
    """Move a run along the state machine of sessions. Stopped takes a result, and a reason unless that is Success.

    Raises IllegalTransition, NotFound.
    """
    values: dict[str, Any] = {}
    if state is SessionState.STOPPED:
        values = {"reason_code": reason_code, "reason": reason, "hint": hint}
    return _sessions.move(connection, run_id, state, result, values)


listing = Listing(
    columns_of(drill_runs, without={"checks"}) | servers.PARENT,
    servers.joined(drill_runs),
    cut=sa.exists(
        sa.select(sa.literal(1))
        .select_from(vms)
        .where(vms.c.run_id == drill_runs.c.id, in_scope(vms.c.host_id, vms.c.vm_ref))
    ).correlate(drill_runs),
    special={"change": changes.is_after(drill_runs)},
)
"""Seen by whoever may see one of the VMs in it."""
