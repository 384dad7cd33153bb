"""VMs as far as there are restore points of them: how many, how new, and when one was last proven by a restore."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.catalog.tables import drill_vms, hosts, restore_sessions, vm_restore_points
from restorium.catalog.types import Instant
from restorium.catalog.visibility import Visibility, in_scope
from restorium.vocabulary.sessions import RestoreKind, SessionResult

_points = (
    sa.select(
        vm_restore_points.c.host_id,
        vm_restore_points.c.vm_ref,
        sa.func.count().label("points"),
        sa.func.max(vm_restore_points.c.created_at, type_=Instant).label("newest_at"),
        sa.func.max(vm_restore_points.c.verified_at, type_=Instant).label("verified_at"),
        sa.func.count(vm_restore_points.c.verify_problem).label("damaged"),
    )
    .group_by(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref)
    .subquery("points")
)
_restores = (
    sa.select(
        restore_sessions.c.host_id,
        restore_sessions.c.vm_ref,
        sa.func.max(restore_sessions.c.ended_at, type_=Instant).label("restored_at"),
    )
    .where(restore_sessions.c.result == SessionResult.SUCCESS, restore_sessions.c.job_type == RestoreKind.VM)
    .group_by(restore_sessions.c.host_id, restore_sessions.c.vm_ref)
    .subquery("restores")
)
_drills = (
    sa.select(
        drill_vms.c.host_id,
        drill_vms.c.vm_ref,
        sa.func.max(drill_vms.c.ended_at, type_=Instant).label("drilled_at"),
    )
    .where(drill_vms.c.result == SessionResult.SUCCESS)
    .group_by(drill_vms.c.host_id, drill_vms.c.vm_ref)
    .subquery("drills")
)
_name = (
    sa.select(vm_restore_points.c.vm_name)
    .where(vm_restore_points.c.host_id == _points.c.host_id, vm_restore_points.c.vm_ref == _points.c.vm_ref)
    .order_by(vm_restore_points.c.created_at.desc(), vm_restore_points.c.id.desc())
    .limit(1)
    .scalar_subquery()
)


def list_all(connection: Connection, visible: Visibility) -> Sequence[Row]:
    """By name: ``host_id``, ``host_name``, ``vm_ref``, ``vm_name`` as in the newest point, ``points``, ``newest_at``,
    ``verified_at`` of the last verification that came to one of the points, ``damaged`` points by then,
    ``restored_at``, when a restore of the whole VM last succeeded, in a drill or not, and ``drilled_at``, when a drill
    did.
    """
    statement = (
        sa.select(
            _points,
            hosts.c.name.label("host_name"),
            _name.label("vm_name"),
            _restores.c.restored_at,
            _drills.c.drilled_at,
        )
        .join(hosts, hosts.c.id == _points.c.host_id)
        .outerjoin(
            _restores,
            sa.and_(_restores.c.host_id == _points.c.host_id, _restores.c.vm_ref == _points.c.vm_ref),
        )
        .outerjoin(
            _drills, sa.and_(_drills.c.host_id == _points.c.host_id, _drills.c.vm_ref == _points.c.vm_ref)
        )
        .order_by(sa.literal_column("vm_name"), hosts.c.name, _points.c.vm_ref)
    )
    if visible.account_id is not None:
        statement = statement.where(in_scope(_points.c.host_id, _points.c.vm_ref))
    return connection.execute(statement, visible.parameters).all()
