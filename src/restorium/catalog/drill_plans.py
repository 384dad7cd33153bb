"""Drill plans: which VMs are restored into a sandbox, when, and what is held against them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, schedules, servers
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.surroundings import now
from restorium.catalog.tables import drill_plans, drill_runs, hosts, job_objects, vm_restore_points
from restorium.vocabulary.drills import Checks, DrillPlan, Selection
from restorium.vocabulary.errors import Conflict
from restorium.vocabulary.sessions import SessionState

TABLE = drill_plans
_KIND = "drill plan"


def add(connection: Connection, plan: DrillPlan) -> Row:
    """Add a plan; its next run is reckoned from now.

    Raises NotFound for the sandbox's host, InvalidInput for the name, Conflict if that is taken or the host has VMs
    that are backed up.
    """
    return rows.add(connection, drill_plans, _KIND, _values(connection, plan))


def change(connection: Connection, plan_id: UUID, plan: DrillPlan) -> None:
    """Make a plan anew under its id. Its next run stays if the schedule does. Raises NotFound, and as ``add``."""
    before = rows.locked(connection, drill_plans, _KIND, plan_id)
    values = _values(connection, plan)
    if (schedules.of(before), before.schedule_enabled) == (plan.schedule, plan.enabled):
        values["next_run"] = before.next_run
    rows.change(connection, drill_plans, _KIND, plan_id, values)


def get(connection: Connection, plan_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, drill_plans, _KIND, plan_id)


def plan_of(row: Row) -> DrillPlan:
    """The plan that a row keeps."""
    return DrillPlan(
        name=row.name,
        selection=msgspec.convert(row.selection, Selection),
        sandbox_host_id=row.sandbox_host_id,
        objective_seconds=row.objective_seconds,
        checks=checks_of(row),
        schedule=schedules.of(row),
        enabled=row.schedule_enabled,
    )


def checks_of(row: Row) -> Checks:
    """The checks of a plan or of one of its runs."""
    return msgspec.convert(row.checks, Checks)


def remove(connection: Connection, plan_id: UUID) -> None:
    """Remove a plan; its runs and what they found stay. Raises NotFound, and Conflict while it runs."""
    plan = rows.locked(connection, drill_plans, _KIND, plan_id)
    running = sa.and_(drill_runs.c.plan_id == plan_id, drill_runs.c.state != SessionState.STOPPED)
    if rows.exists(connection, running):
        raise Conflict(f"drill plan {plan.name!r} is running", hint="Cancel its run first.")
    rows.remove(connection, drill_plans, _KIND, plan_id)


def _values(connection: Connection, plan: DrillPlan) -> dict[str, Any]:
    _check_sandbox(connection, plan.sandbox_host_id)
    schedule = plan.schedule
    return {
        "name": rows.named(_KIND, plan.name),
        "sandbox_host_id": plan.sandbox_host_id,
        "objective_seconds": plan.objective_seconds,
        "selection": msgspec.to_builtins(plan.selection),
        "checks": msgspec.to_builtins(plan.checks),
        "schedule": None if schedule is None else msgspec.to_builtins(schedule),
        "schedule_enabled": plan.enabled,
        "next_run": schedule.next_run(now(connection)) if schedule is not None and plan.enabled else None,
    }


def _check_sandbox(connection: Connection, host_id: UUID) -> None:
    host = rows.get(connection, hosts, "host", host_id)
    for condition in (job_objects.c.host_id == host_id, vm_restore_points.c.host_id == host_id):
        if rows.exists(connection, condition):
            raise Conflict(
                f"host {host.name!r} has VMs that are backed up, so it is no sandbox",
                hint="Add a host of its own for drills, such as an image folder that holds nothing else.",
            )


listing = Listing(
    columns_of(drill_plans) | {"sandbox_host_name": hosts.c.name} | servers.PARENT,
    servers.joined(drill_plans.join(hosts, hosts.c.id == drill_plans.c.sandbox_host_id)),
)
