"""Which VMs there are to restore, and when each was last seen to be restorable.

A VM is one that a job backs up or of which there are restore points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import protected_vms, rows
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.surroundings import now
from restorium.catalog.tables import job_objects, jobs, vm_restore_points
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.drills import Selection
from restorium.vocabulary.errors import NotFound


@dataclass(frozen=True, slots=True)
class Protection:
    """What is known of one VM; what never was is None.

    newest_at: of its newest restore point. verified_at: of the last verification that came to one of its points.
    restored_at: when a restore of it last succeeded, in a drill or not; every restore is verified. drilled_at: when a
    drill of it last succeeded.
    """

    host_id: UUID
    vm_ref: str
    vm_name: str
    newest_at: datetime | None = None
    verified_at: datetime | None = None
    restored_at: datetime | None = None
    drilled_at: datetime | None = None


def check(connection: Connection, selection: Selection) -> None:
    """Raises NotFound for a job or a VM that a selection names and that is not there."""
    for job_id in selection.job_ids:
        rows.get(connection, jobs, "job", job_id)
    known = {(vm.host_id, vm.vm_ref) for vm in _named(connection, ())} if selection.vms else set()
    for vm in selection.vms:
        if (vm.host_id, vm.vm_ref) not in known:
            raise NotFound(
                f"no job backs up the VM {vm.vm_ref!r} of host {vm.host_id}, and there is no restore point of it",
                hint="Name VMs as `restorium points` and the jobs do.",
            )


def vms(connection: Connection, selection: Selection) -> list[JobVm]:
    """The VMs that a selection names, or of which it takes a share, by name.

    One that is named and known no more is there all the same, under its reference.
    """
    found = [JobVm(row.host_id, row.vm_ref, row.vm_name) for row in _named(connection, selection.job_ids)]
    if not selection.vms:
        return found
    known = {(vm.host_id, vm.vm_ref): vm for vm in found}
    return [
        known.get((vm.host_id, vm.vm_ref), JobVm(vm.host_id, vm.vm_ref, vm.vm_ref)) for vm in selection.vms
    ]


def newest_point(connection: Connection, host_id: UUID, vm_ref: str) -> Row | None:
    """The newest restore point of a VM in any backup; None if there is none."""
    return connection.execute(
        sa.select(vm_restore_points)
        .where(vm_restore_points.c.host_id == host_id, vm_restore_points.c.vm_ref == vm_ref)
        .order_by(vm_restore_points.c.created_at.desc(), vm_restore_points.c.id.desc())
        .limit(1)
    ).one_or_none()


def of_vms(connection: Connection, visible: Visibility) -> list[Protection]:
    """All VMs by name."""
    known = {
        (row.host_id, row.vm_ref): Protection(
            row.host_id,
            row.vm_ref,
            row.vm_name,
            newest_at=row.newest_at,
            verified_at=row.verified_at,
            restored_at=row.restored_at,
            drilled_at=row.drilled_at,
        )
        for row in protected_vms.list_all(connection, visible)
    }
    named = _named(connection, (), visible)
    return [known.get((vm.host_id, vm.vm_ref), Protection(vm.host_id, vm.vm_ref, vm.vm_name)) for vm in named]


def at_risk(connection: Connection, visible: Visibility, within: timedelta) -> list[Protection]:
    """The VMs of which no restore has succeeded ``within`` the time up to now, by name. A drill is a restore."""
    at = now(connection)
    return [vm for vm in of_vms(connection, visible) if unproven(vm.restored_at, at, within)]


def unproven(restored_at: datetime | None, at: datetime, within: timedelta) -> bool:
    """Whether the last restore that succeeded is longer ago than ``within``, at a moment."""
    return restored_at is None or restored_at < at - within


def _named(
    connection: Connection, job_ids: Sequence[UUID], visible: Visibility | None = None
) -> Sequence[Row]:
    """VMs with the names that jobs have of them, else their newest restore points; of some jobs alone, if any."""
    included = sa.select(job_objects.c.host_id, job_objects.c.vm_ref)
    keys: sa.Subquery
    if job_ids:
        keys = included.where(job_objects.c.job_id.in_(job_ids)).distinct().subquery()
    else:
        kept = sa.select(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref)
        keys = sa.union(included, kept).subquery()
    in_jobs = (
        sa.select(sa.func.max(job_objects.c.vm_name))
        .where(job_objects.c.host_id == keys.c.host_id, job_objects.c.vm_ref == keys.c.vm_ref)
        .scalar_subquery()
    )
    in_points = (
        sa.select(vm_restore_points.c.vm_name)
        .where(vm_restore_points.c.host_id == keys.c.host_id, vm_restore_points.c.vm_ref == keys.c.vm_ref)
        .order_by(vm_restore_points.c.created_at.desc(), vm_restore_points.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = sa.select(keys, sa.func.coalesce(in_jobs, in_points).label("vm_name"))
    parameters = {}
    if visible is not None and visible.account_id is not None:
        statement = statement.where(in_scope(keys.c.host_id, keys.c.vm_ref))
        parameters = visible.parameters
    found = connection.execute(statement, parameters).all()
    return sorted(found, key=lambda row: (row.vm_name.casefold(), row.vm_ref, row.host_id))
