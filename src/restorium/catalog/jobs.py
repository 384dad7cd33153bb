"""Jobs: which VMs are backed up to which repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.surroundings import new_id
from restorium.catalog.tables import job_objects, jobs, repositories
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.hierarchy import Platform

_KIND = "job"


@dataclass(frozen=True, slots=True)
class JobVm:
    """One VM that a job protects. ``vm_ref`` is the host's own name of it."""

    host_id: UUID
    vm_ref: str
    vm_name: str


def add(
    connection: Connection,
    *,
    name: str,
    repository_id: UUID,
    platform: Platform,
    vms: Sequence[JobVm],
    description: str = "",
) -> Row:
    """Add a backup job without a schedule. Raises InvalidInput for its name, Conflict if that is taken."""
    values = {
        "name": rows.named(_KIND, name),
        "description": description,
        "job_type": JobType.BACKUP,
        "platform": platform,
        "repository_id": repository_id,
        "schedule_configured": False,
        "schedule_enabled": False,
    }
    job = rows.add(connection, jobs, _KIND, values)
    for position, vm in enumerate(vms):
        connection.execute(
            sa.insert(job_objects).values(
                id=new_id(connection),
                job_id=job.id,
                host_id=vm.host_id,
                vm_ref=vm.vm_ref,
                vm_name=vm.vm_name,
                position=position,
            )
        )
    return job


def get(connection: Connection, job_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, jobs, _KIND, job_id)


def objects(connection: Connection, job_id: UUID) -> Sequence[Row]:
    """The job's VMs in its order: rows with id, host_id, vm_ref, vm_name."""
    return connection.execute(
        sa.select(job_objects).where(job_objects.c.job_id == job_id).order_by(job_objects.c.position)
    ).all()


def list_all(connection: Connection) -> Sequence[Row]:
    """All jobs by name."""
    return connection.execute(sa.select(jobs).order_by(jobs.c.name)).all()


def remove(connection: Connection, job_id: UUID) -> None:
    """Remove a job and its sessions; its backups stay, without a job. Raises NotFound."""
    rows.remove(connection, jobs, _KIND, job_id)


listing = Listing(
    columns_of(jobs) | {"repository_name": repositories.c.name} | servers.PARENT,
    servers.joined(jobs.join(repositories, repositories.c.id == jobs.c.repository_id)),
)
