"""Restore points that are kept no longer.

A restore point goes once none of the VMs in it needs it any more. Its rows go, and the names of its manifests are noted
in the same transaction, until somebody has removed those from the repository too: a crash in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import manifests, rows
from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import (
    backups,
    restore_points,
    restore_sessions,
    vapp_restore_points,
    vm_restore_points,
)
from restorium.vocabulary.errors import Conflict
from restorium.vocabulary.retention import Retention, kept
from restorium.vocabulary.sessions import SessionState

_AT_ONCE = 200


def expire(connection: Connection, backup_id: UUID, retention: Retention, zone: tzinfo = UTC) -> list[str]:
    """Remove the restore points of a backup that are to be kept no longer, some hundreds at once; gives their names.

    zone: whose weeks, months and years count. Of each VM the newest point always stays, and so do all points that an
    unfinished restore reads. Raises NotFound.
    """
    backup = rows.locked(connection, backups, "backup", backup_id)
    return _remove(connection, backup, _expired(connection, backup_id, retention, zone)[:_AT_ONCE])


def due(connection: Connection) -> Sequence[UUID]:
    """Backups whose time is over, the oldest first."""
    statement = sa.select(backups.c.id).where(backups.c.delete_after <= now(connection))
    return connection.execute(statement.order_by(backups.c.delete_after, backups.c.id)).scalars().all()


def expire_all(connection: Connection, backup_id: UUID) -> list[str]:
    """Remove the restore points of a backup, except those that an unfinished restore reads; gives their names.

    Some hundreds at once. Raises NotFound.
    """
    backup = rows.locked(connection, backups, "backup", backup_id)
    statement = (
        sa.select(restore_points.c.id, restore_points.c.name)
        .where(restore_points.c.backup_id == backup_id, restore_points.c.id.not_in(_read_by_restores()))
        .order_by(restore_points.c.created_at, restore_points.c.id)
        .limit(_AT_ONCE)
    )
    return _remove(connection, backup, connection.execute(statement).all())


def remove_vm_point(connection: Connection, vm_point_id: UUID) -> None:
    """Remove one VM's point, and what it was the last one in.

    Raises NotFound, and Conflict while an unfinished restore reads it.
    """
    # Locked, so that no restore begins with it; one that has begun is seen from here on.
    point = rows.locked(connection, vm_restore_points, "restore point", vm_point_id)
    readers = sa.select(restore_sessions.c.name).where(
        restore_sessions.c.vm_restore_point_id == point.id, restore_sessions.c.state != SessionState.STOPPED
    )
    reader = connection.execute(readers.limit(1)).scalar_one_or_none()
    if reader is not None:
        raise Conflict(
            f"the restore point {point.name} is being read by the restore session {reader}",
            hint="Wait until that has ended, or cancel it.",
        )
    restore_point = rows.get(connection, restore_points, "restore point", point.restore_point_id)
    repository_id = rows.get(connection, backups, "backup", restore_point.backup_id).repository_id
    manifests.expire(connection, repository_id, [point.vault_point])
    connection.execute(sa.delete(vm_restore_points).where(vm_restore_points.c.id == point.id))
    in_vapp = vm_restore_points.c.vapp_restore_point_id == vapp_restore_points.c.id
    in_point = vm_restore_points.c.restore_point_id == restore_points.c.id
    connection.execute(
        sa.delete(vapp_restore_points).where(
            vapp_restore_points.c.id == point.vapp_restore_point_id, sa.not_(sa.exists().where(in_vapp))
        )
    )
    connection.execute(
        sa.delete(restore_points).where(
            restore_points.c.id == point.restore_point_id, sa.not_(sa.exists().where(in_point))
        )
    )


def forget(connection: Connection, backup_id: UUID) -> None:
    """Remove a backup that has no restore point any more; one that has stays."""
    left = sa.select(restore_points.c.id).where(restore_points.c.backup_id == backup_id)
    connection.execute(sa.delete(backups).where(backups.c.id == backup_id, sa.not_(left.exists())))


def _remove(connection: Connection, backup: Row, found: Sequence[Any]) -> list[str]:
    """``found``: what has the id and the name of a restore point each."""
    if not found:
        return []
    of_found = vm_restore_points.c.restore_point_id.in_([point.id for point in found])
    # Locked, so that no restore begins with one of them; one that has begun is seen from here on.
    vm_points = connection.execute(sa.select(vm_restore_points).where(of_found).with_for_update()).all()
    read = set(connection.execute(_read_by_restores().where(of_found)).scalars())
    gone = [point for point in found if point.id not in read]
    names = [vm.vault_point for vm in vm_points if vm.restore_point_id not in read]
    manifests.expire(connection, backup.repository_id, names)
    connection.execute(sa.delete(restore_points).where(restore_points.c.id.in_([each.id for each in gone])))
    return [point.name for point in gone]


def _expired(connection: Connection, backup_id: UUID, retention: Retention, zone: tzinfo) -> list[Row]:
    """Rows with id and name of the restore points that no VM in them needs and no restore reads, the oldest first."""
    points = vm_restore_points.c
    of_backup: sa.Select[Any] = (
        sa.select(points.restore_point_id, points.host_id, points.vm_ref, points.created_at)
        .join(restore_points, restore_points.c.id == points.restore_point_id)
        .where(restore_points.c.backup_id == backup_id)
        .order_by(points.created_at, points.id)
    )
    of_vms: dict[tuple[UUID, str], list[Row]] = {}
    for row in connection.execute(of_backup):
        of_vms.setdefault((row.host_id, row.vm_ref), []).append(row)
    at = now(connection)
    needed: set[UUID] = set()
    for rows_of_vm in of_vms.values():
        rules = kept([row.created_at for row in rows_of_vm], retention, at, zone)
        needed |= {row.restore_point_id for row, why in zip(rows_of_vm, rules, strict=True) if why}
    unread: sa.Select[Any] = (
        sa.select(restore_points.c.id, restore_points.c.name)
        .where(restore_points.c.backup_id == backup_id, restore_points.c.id.not_in(_read_by_restores()))
        .order_by(restore_points.c.created_at, restore_points.c.id)
    )
    return [point for point in connection.execute(unread) if point.id not in needed]


def _read_by_restores() -> sa.Select[tuple[UUID]]:
    return (
        sa.select(vm_restore_points.c.restore_point_id)
        .join(restore_sessions, restore_sessions.c.vm_restore_point_id == vm_restore_points.c.id)
        .where(restore_sessions.c.state != SessionState.STOPPED)
    )
