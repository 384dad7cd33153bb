"""Backups: what one job keeps on one repository, and those that were made once, for no job."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.listing import Listing, Row, columns_of, optional
from restorium.catalog.tables import backups, jobs, repositories, restore_points, vm_restore_points
from restorium.catalog.types import constant
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.backups import BackupType
from restorium.vocabulary.hierarchy import Platform

_KIND = "backup"


def ensure(connection: Connection, job_id: UUID) -> Row:
    """The backup of a job on the job's repository, made under the job's name if there is none.

    Raises NotFound.
    """
    job = rows.locked(connection, jobs, "job", job_id)
    found = connection.execute(
        sa.select(backups).where(backups.c.job_id == job_id, backups.c.repository_id == job.repository_id)
    ).one_or_none()
    if found is not None:
        return found
    values = {
        "name": job.name,
        "job_id": job_id,
        "repository_id": job.repository_id,
        "platform": job.platform,
    }
    return rows.add(connection, backups, _KIND, values)


def ensure_one_time(connection: Connection, session: Row, platform: Platform) -> Row:
    """The backup of a session of no job, made under the session's id and name if there is none."""
    found = connection.execute(sa.select(backups).where(backups.c.id == session.id)).one_or_none()
    if found is not None:
        return found
    values = {
        "id": session.id,
        "name": session.name,
        "repository_id": session.repository_id,
        "platform": platform,
        "delete_after": session.delete_after,
    }
    return rows.add(connection, backups, _KIND, values)


def get(connection: Connection, backup_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, backups, _KIND, backup_id)


_visible = sa.exists(
    sa.select(sa.literal(1))
    .select_from(
        vm_restore_points.join(restore_points, restore_points.c.id == vm_restore_points.c.restore_point_id)
    )
    .where(
        restore_points.c.backup_id == backups.c.id,
        in_scope(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref),
    )
)
listing = Listing(
    columns_of(backups)
    | {
        "job_name": optional(jobs.c.name),
        "repository_name": repositories.c.name,
        "backup_type": constant(BackupType.STANDARD),
    }
    | servers.PARENT,
    servers.joined(
        backups.outerjoin(jobs, jobs.c.id == backups.c.job_id).join(
            repositories, repositories.c.id == backups.c.repository_id
        )
    ),
    cut=_visible,
)
"""Seen by whoever may see one of the VMs in it."""
