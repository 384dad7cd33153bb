"""Making drill plans, changing them, and removing them."""

from __future__ import annotations

import os
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import drill_plans, hosts, protection
from restorium.emulator import pattern
from restorium.flows.engine import Engine
from restorium.hosts.addresses import same_address
from restorium.vocabulary.drills import DrillPlan
from restorium.vocabulary.errors import Conflict


def add(engine: Engine, plan: DrillPlan) -> UUID:
    """Add a plan; gives its id.

    Raises InvalidInput, NotFound for a host, a job or a VM, and Conflict if the name is taken or the sandbox is where
    VMs are that are backed up.
    """
    with engine.database.write() as connection:
        _check(connection, plan)
        plan_id: UUID = drill_plans.add(connection, plan).id
    return plan_id


def change(engine: Engine, plan_id: UUID, plan: DrillPlan) -> None:
    """Make a plan anew; a run that goes on is as it was. Raises as ``add``, and NotFound for the plan."""
    with engine.database.write() as connection:
        _check(connection, plan)
        drill_plans.change(connection, plan_id, plan)


def remove(engine: Engine, plan_id: UUID) -> None:
    """Remove a plan; what its runs found stays. Raises NotFound, and Conflict while it runs."""
    with engine.database.write() as connection:
        drill_plans.remove(connection, plan_id)


def _check(connection: Connection, plan: DrillPlan) -> None:
    if plan.checks.boot is not None:
        pattern(plan.checks.boot.marker)
    protection.check(connection, plan.selection)
    sandbox = hosts.get(connection, plan.sandbox_host_id)
    for other in hosts.list_all(connection):
        if (
            other.id != sandbox.id
            and other.kind == sandbox.kind
            and _one_place(other.address, sandbox.address)
        ):
            raise Conflict(
                f"host {sandbox.name!r} is where host {other.name!r} is: {other.address}",
                hint="Give the sandbox a folder or a host of its own.",
            )


def _one_place(one: str, other: str) -> bool:
    return same_address(one, other) or os.path.realpath(one) == os.path.realpath(other)
