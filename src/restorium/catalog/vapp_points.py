"""vApps in restore points: the VMs of one run that were in the same vApp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import servers
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.new_points import NewVmPoint
from restorium.catalog.references import hierarchy_ref
from restorium.catalog.surroundings import new_id
from restorium.catalog.tables import backups, hosts, restore_points, vapp_restore_points, vm_restore_points
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.backups import Algorithm, PointType


def record(
    connection: Connection, restore_point_id: UUID, created_at: datetime, vms: Sequence[NewVmPoint]
) -> Mapping[tuple[UUID, tuple[str, str] | None], UUID]:
    """Record the vApps that these VMs are in; gives the ids by host and vApp."""
    found: dict[tuple[UUID, tuple[str, str] | None], UUID] = {}
    for host_id, vapp in dict.fromkeys((vm.host_id, vm.vapp) for vm in vms):
        if vapp is None:
            continue
        inside = [vm for vm in vms if (vm.host_id, vm.vapp) == (host_id, vapp)]
        full = any(vm.point_type is PointType.FULL for vm in inside)
        found[host_id, vapp] = new_id(connection)
        connection.execute(
            sa.insert(vapp_restore_points).values(
                id=found[host_id, vapp],
                name=f"{vapp[1]}@{created_at:%Y-%m-%d %H:%M:%S}",
                restore_point_id=restore_point_id,
                host_id=host_id,
                vapp_ref=vapp[0],
                vapp_name=vapp[1],
                algorithm=Algorithm.FULL if full else Algorithm.INCREMENTAL,
                point_type=PointType.FULL if full else PointType.INCREMENT,
                created_at=created_at,
            )
        )
    return found


def vms(connection: Connection, vapp_restore_point_id: UUID) -> Sequence[Row]:
    """The VM restore points of a vApp, by name."""
    return connection.execute(
        sa.select(vm_restore_points)
        .where(vm_restore_points.c.vapp_restore_point_id == vapp_restore_point_id)
        .order_by(vm_restore_points.c.vm_name, vm_restore_points.c.id)
    ).all()


listing = Listing(
    columns_of(vapp_restore_points)
    | {
        "restore_point_name": restore_points.c.name,
        "hierarchy_ref": hierarchy_ref("Vapp", vapp_restore_points.c.host_id, vapp_restore_points.c.vapp_ref),
    }
    | servers.PARENT,
    servers.joined(
        vapp_restore_points.join(
            restore_points, restore_points.c.id == vapp_restore_points.c.restore_point_id
        )
        .join(backups, backups.c.id == restore_points.c.backup_id)
        .join(hosts, hosts.c.id == vapp_restore_points.c.host_id)
    ),
    cut=sa.exists(
        sa.select(sa.literal(1))
        .select_from(vm_restore_points)
        .where(
            vm_restore_points.c.vapp_restore_point_id == vapp_restore_points.c.id,
            in_scope(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref),
        )
    ),
)
"""Seen by whoever may see one of the VMs in it."""
