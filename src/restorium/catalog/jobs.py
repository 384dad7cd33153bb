"""Jobs: which VMs are backed up to which repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.surroundings import new_id
from restorium.catalog.tables import (
    backups,
    job_objects,
    job_sessions,
    jobs,
    repositories,
    restore_points,
    vm_restore_points,
)
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.errors import Conflict, NotFound
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.retention import Gfs, Retention
from restorium.vocabulary.sessions import SessionState

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
        _insert(connection, job.id, vm, position)
    return job


def describe(
    connection: Connection, job_id: UUID, *, name: str | None = None, description: str | None = None
) -> None:
    """Change a job's name or description; what is None stays. Raises NotFound, InvalidInput, Conflict."""
    values: dict[str, str] = {}
    if name is not None:
        values["name"] = rows.named(_KIND, name)
    if description is not None:
        values["description"] = description
    if values:
        rows.change(connection, jobs, _KIND, job_id, values)


def retain(connection: Connection, job_id: UUID, retention: Retention | None) -> None:
    """Set how long a job's restore points are kept; None: for good. Raises NotFound."""
    values: dict[str, Any] = dict.fromkeys(("retain_by", "retain_points", "retain_days", "retain_gfs"))
    if retention is not None:
        gfs = None if retention.gfs is None else msgspec.to_builtins(retention.gfs)
        kept = (retention.by, retention.points, retention.days, gfs)
        values = dict(zip(values, kept, strict=True))
    rows.change(connection, jobs, _KIND, job_id, values)


def retention_of(job: Row) -> Retention | None:
    """How long the job's restore points are kept; None: for good."""
    if job.retain_by is None:
        return None
    gfs = None if job.retain_gfs is None else msgspec.convert(job.retain_gfs, Gfs)
    return Retention(job.retain_by, job.retain_points, job.retain_days, gfs)


def add_object(connection: Connection, job_id: UUID, vm: JobVm) -> Row:
    """Let a job protect one more VM. Raises NotFound, and Conflict if it does already."""
    job = rows.locked(connection, jobs, _KIND, job_id)
    known = objects(connection, job_id)
    if any((each.host_id, each.vm_ref) == (vm.host_id, vm.vm_ref) for each in known):
        raise Conflict(f"job {job.name!r} has the VM {vm.vm_name!r} already")
    return _insert(connection, job_id, vm, known[-1].position + 1 if known else 0)


def remove_object(connection: Connection, job_id: UUID, object_id: UUID) -> None:
    """Let a job protect one VM less; its restore points stay. Raises NotFound, and Conflict for the last one."""
    job = rows.locked(connection, jobs, _KIND, job_id)
    known = objects(connection, job_id)
    if object_id not in {each.id for each in known}:
        raise NotFound(f"job {job.name!r} has no object {object_id}")
    if len(known) == 1:
        raise Conflict(f"job {job.name!r} has no other VM", hint="Add another VM first, or delete the job.")
    connection.execute(sa.delete(job_objects).where(job_objects.c.id == object_id))


def choose_objects(connection: Connection, job_id: UUID, chosen: Sequence[JobVm]) -> None:
    """Let a job protect these VMs and no others; those that it has already keep their places. Raises NotFound."""
    rows.locked(connection, jobs, _KIND, job_id)
    known = objects(connection, job_id)
    wanted = {(vm.host_id, vm.vm_ref) for vm in chosen}
    left = [each.id for each in known if (each.host_id, each.vm_ref) not in wanted]
    connection.execute(sa.delete(job_objects).where(job_objects.c.id.in_(left)))
    there = {(each.host_id, each.vm_ref) for each in known}
    position = known[-1].position + 1 if known else 0
    for vm in chosen:
        if (vm.host_id, vm.vm_ref) not in there:
            _insert(connection, job_id, vm, position)
            position += 1


def rename_objects(connection: Connection, host_id: UUID, names: Mapping[str, str]) -> None:
    """Note the names that a host now gives its VMs, by its references of them."""
    found = sa.select(job_objects.c.vm_ref, job_objects.c.vm_name).where(job_objects.c.host_id == host_id)
    for vm in connection.execute(found.distinct()).all():
        if names.get(vm.vm_ref, vm.vm_name) != vm.vm_name:
            connection.execute(
                sa.update(job_objects)
                .where(job_objects.c.host_id == host_id, job_objects.c.vm_ref == vm.vm_ref)
                .values(vm_name=names[vm.vm_ref])
            )


def _insert(connection: Connection, job_id: UUID, vm: JobVm, position: int) -> Row:
    return connection.execute(
        sa.insert(job_objects)
        .values(
            id=new_id(connection),
            job_id=job_id,
            host_id=vm.host_id,
            vm_ref=vm.vm_ref,
            vm_name=vm.vm_name,
            position=position,
        )
        .returning(*job_objects.columns)
    ).one()


def get(connection: Connection, job_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, jobs, _KIND, job_id)


def objects(connection: Connection, job_id: UUID) -> Sequence[Row]:
    """The job's VMs in its order: rows with id, host_id, vm_ref, vm_name."""
    return connection.execute(
        sa.select(job_objects).where(job_objects.c.job_id == job_id).order_by(job_objects.c.position)
    ).all()


def latest_of(connection: Connection, host_id: UUID, vm_ref: str) -> UUID:
    """The job that has the newest restore point of a VM, among those that include it.

    Raises NotFound if none includes it, Conflict if none has backed it up.
    """
    including = sa.and_(job_objects.c.host_id == host_id, job_objects.c.vm_ref == vm_ref)
    found = connection.execute(
        sa.select(job_objects.c.job_id)
        .join(backups, backups.c.job_id == job_objects.c.job_id)
        .join(restore_points, restore_points.c.backup_id == backups.c.id)
        .join(vm_restore_points, vm_restore_points.c.restore_point_id == restore_points.c.id)
        .where(including, vm_restore_points.c.host_id == host_id, vm_restore_points.c.vm_ref == vm_ref)
        .order_by(vm_restore_points.c.created_at.desc(), vm_restore_points.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is not None:
        job_id: UUID = found
        return job_id
    if connection.execute(sa.select(job_objects.c.id).where(including)).first() is None:
        raise NotFound(
            f"no job backs up the VM {vm_ref!r}", hint="Include it in a job, or make a VeeamZip of it."
        )
    raise Conflict(f"no job has backed up the VM {vm_ref!r} yet", hint="Run a job that includes it first.")


def list_all(connection: Connection) -> Sequence[Row]:
    """All jobs by name."""
    return connection.execute(sa.select(jobs).order_by(jobs.c.name)).all()


def remove(connection: Connection, job_id: UUID) -> None:
    """Remove a job and its sessions; its backups stay, without a job.

    Raises NotFound, and Conflict while it runs or another job runs after it.
    """
    job = rows.locked(connection, jobs, _KIND, job_id)
    unfinished = sa.select(job_sessions.c.id).where(
        job_sessions.c.job_id == job_id, job_sessions.c.state != SessionState.STOPPED
    )
    if connection.execute(unfinished).first() is not None:
        raise Conflict(f"job {job.name!r} is running", hint="Stop it first.")
    follower = connection.execute(sa.select(jobs.c.name).where(jobs.c.after_job_id == job_id)).first()
    if follower is not None:
        raise Conflict(
            f"job {follower.name!r} runs after job {job.name!r}", hint="Change that job's schedule first."
        )
    rows.remove(connection, jobs, _KIND, job_id)


listing = Listing(
    columns_of(jobs) | {"repository_name": repositories.c.name} | servers.PARENT,
    servers.joined(jobs.join(repositories, repositories.c.id == jobs.c.repository_id)),
)
