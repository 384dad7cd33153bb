"""Restore points, the VM restore points in them, and the backup files behind those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers, vapp_points
from restorium.catalog.filters import Compare
from restorium.catalog.listing import Listing, Row, columns_of, optional
from restorium.catalog.new_points import NewVmPoint
from restorium.catalog.references import hierarchy_ref
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import (
    backup_files,
    backups,
    hosts,
    jobs,
    repositories,
    restore_points,
    vm_restore_points,
)
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.errors import InvalidFilter, InvalidIdentifier
from restorium.vocabulary.hierarchy import HierarchyRef


def record(
    connection: Connection,
    *,
    restore_point_id: UUID,
    backup_id: UUID,
    name: str,
    created_at: datetime,
    vms: Sequence[NewVmPoint],
) -> bool:
    """Record a restore point with all that is in it. False if that id is recorded already: nothing changes.

    The caller chooses the id, so that a step that runs twice records once. Raises NotFound for the backup.
    """
    backup = rows.locked(connection, backups, "backup", backup_id)
    known = sa.select(restore_points.c.id).where(restore_points.c.id == restore_point_id)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(
        sa.insert(restore_points).values(
            id=restore_point_id, name=name, backup_id=backup_id, created_at=created_at
        )
    )
    vapps = vapp_points.record(connection, restore_point_id, created_at, vms)
    for vm in vms:
        file_id = new_id(connection)
        connection.execute(
            sa.insert(backup_files).values(
                id=file_id,
                name=vm.file_name,
                backup_id=backup_id,
                restore_point_id=restore_point_id,
                repository_id=backup.repository_id,
                file_path=vm.file_path,
                file_type=vm.file_type,
                backup_size=vm.backup_size,
                data_size=vm.data_size,
                deduplication_ratio=vm.deduplication_ratio,
                compress_ratio=vm.compress_ratio,
                created_at=created_at,
            )
        )
        connection.execute(
            sa.insert(vm_restore_points).values(
                id=new_id(connection),
                name=f"{vm.vm_name}@{created_at:%Y-%m-%d %H:%M:%S}",
                restore_point_id=restore_point_id,
                backup_file_id=file_id,
                host_id=vm.host_id,
                vm_ref=vm.vm_ref,
                vm_name=vm.vm_name,
                algorithm=vm.algorithm,
                point_type=vm.point_type,
                vault_point=vm.vault_point,
                vapp_restore_point_id=vapps.get((vm.host_id, vm.vapp)),
                created_at=created_at,
            )
        )
    return True


def record_verification(
    connection: Connection, repository_id: UUID, found: Mapping[str, str | None], *, read_data: bool
) -> None:
    """Note what a verification found, now, of the points of a repository: by the manifest's name, a problem or None."""
    inside = sa.select(backup_files.c.id).where(backup_files.c.repository_id == repository_id)
    values = {"verified_at": now(connection), "verified_data": read_data}
    for name, problem in found.items():
        connection.execute(
            sa.update(vm_restore_points)
            .where(vm_restore_points.c.vault_point == name, vm_restore_points.c.backup_file_id.in_(inside))
            .values(verify_problem=problem, **values)
        )


def latest(connection: Connection, backup_id: UUID, host_id: UUID, vm_ref: str) -> Row | None:
    """The newest restore point of a VM in a backup, on which the next can build; None before the first."""
    return connection.execute(
        sa.select(vm_restore_points)
        .join(restore_points, restore_points.c.id == vm_restore_points.c.restore_point_id)
        .where(
            restore_points.c.backup_id == backup_id,
            vm_restore_points.c.host_id == host_id,
            vm_restore_points.c.vm_ref == vm_ref,
        )
        .order_by(vm_restore_points.c.created_at.desc(), vm_restore_points.c.id.desc())
        .limit(1)
    ).one_or_none()


def of_restore_point(connection: Connection, restore_point_id: UUID) -> Sequence[Row]:
    """The VM restore points in a restore point, by VM name."""
    return connection.execute(
        sa.select(vm_restore_points)
        .where(vm_restore_points.c.restore_point_id == restore_point_id)
        .order_by(vm_restore_points.c.vm_name, vm_restore_points.c.id)
    ).all()


def _by_hierarchy_ref(part: Compare) -> sa.ColumnElement[bool]:
    """A reference is taken apart, so that the index on host and VM serves it; of no VM, it equals nothing."""
    if part.op not in ("==", "!=") or not isinstance(part.value, str):
        raise InvalidFilter(f"{part.column} can only be compared with a reference, by == or !=")
    try:
        ref = HierarchyRef.parse(part.value)
    except InvalidIdentifier:
        return sa.false() if part.op == "==" else sa.true()
    equal = sa.and_(
        sa.literal(ref.kind.lower()) == "vm",
        vm_restore_points.c.host_id == ref.root,
        vm_restore_points.c.vm_ref == ref.ref,
        hosts.c.platform == ref.platform,
    )
    return equal if part.op == "==" else sa.not_(equal)


def _any_vm(*linked: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(vm_restore_points)
        .where(*linked, in_scope(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref))
    )


_BACKUP: dict[str, sa.ColumnElement[Any]] = {
    "backup_name": backups.c.name,
    "job_id": backups.c.job_id,
    "job_name": optional(jobs.c.name),
    "platform": backups.c.platform,
}


def _under_backup(source: sa.FromClause, backup_id: sa.ColumnElement[Any]) -> sa.FromClause:
    return servers.joined(
        source.join(backups, backups.c.id == backup_id).outerjoin(jobs, jobs.c.id == backups.c.job_id)
    )


restore_listing = Listing(
    columns_of(restore_points) | _BACKUP | servers.PARENT,
    _under_backup(restore_points, restore_points.c.backup_id),
    cut=_any_vm(vm_restore_points.c.restore_point_id == restore_points.c.id),
)
"""Seen by whoever may see one of the VMs in it."""

file_listing = Listing(
    columns_of(backup_files)
    | {"restore_point_name": restore_points.c.name, "repository_name": repositories.c.name}
    | _BACKUP
    | servers.PARENT,
    _under_backup(
        backup_files.join(restore_points, restore_points.c.id == backup_files.c.restore_point_id).join(
            repositories, repositories.c.id == backup_files.c.repository_id
        ),
        backup_files.c.backup_id,
    ),
    cut=_any_vm(vm_restore_points.c.backup_file_id == backup_files.c.id),
)
"""Seen by whoever may see one of the VMs in it."""

vm_listing = Listing(
    columns_of(vm_restore_points)
    | {
        "restore_point_name": restore_points.c.name,
        "backup_file_name": backup_files.c.name,
        "backup_id": restore_points.c.backup_id,
        "repository_id": backup_files.c.repository_id,
        "host_name": hosts.c.name,
        "hierarchy_ref": hierarchy_ref("Vm", vm_restore_points.c.host_id, vm_restore_points.c.vm_ref),
    }
    | _BACKUP
    | {"platform": hosts.c.platform}
    | servers.PARENT,
    _under_backup(
        vm_restore_points.join(restore_points, restore_points.c.id == vm_restore_points.c.restore_point_id)
        .join(backup_files, backup_files.c.id == vm_restore_points.c.backup_file_id)
        .join(hosts, hosts.c.id == vm_restore_points.c.host_id),
        restore_points.c.backup_id,
    ),
    cut=in_scope(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref),
    special={"hierarchy_ref": _by_hierarchy_ref},
)
