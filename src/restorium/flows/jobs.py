"""Making jobs, changing them, and removing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import hosts, jobs, repositories, schedules
from restorium.catalog.jobs import JobVm
from restorium.flows.engine import Engine
from restorium.flows.inventory import check_once, known
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.retention import Retention
from restorium.vocabulary.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a job; what is None stays.

    configured: False takes its schedule away. keep_all: it has no retention any more.
    """

    name: str | None = None
    description: str | None = None
    configured: bool | None = None
    enabled: bool | None = None
    schedule: Schedule | None = None
    retention: Retention | None = None
    keep_all: bool = False


def add(
    engine: Engine,
    name: str,
    repository_id: UUID,
    vms: Sequence[tuple[UUID, str]],
    changes: Changes | None = None,
) -> UUID:
    """Add a job; gives its id.

    vms: what it backs up, each a host's id and that host's own name of the VM. changes: what it has from the beginning.
    Raises InvalidInput for no VM, a VM named twice or a bad name, NotFound for the repository or a host,
    VmNotFound, HostError, and Conflict if the name is taken.
    """
    if not vms:
        raise InvalidInput("a job needs at least one VM", hint="Name the VMs to back up.")
    with engine.database.read() as connection:
        repositories.get(connection, repository_id)
        platform = hosts.get(connection, vms[0][0]).platform
    named = known(engine, vms)
    with engine.database.write() as connection:
        row = jobs.add(connection, name=name, repository_id=repository_id, platform=platform, vms=named)
        if changes is not None:
            _change(connection, row.id, changes)
    job_id: UUID = row.id
    return job_id


def edit(engine: Engine, job_id: UUID, changes: Changes) -> None:
    """Change a job, all of it or nothing; its next run follows at once.

    Raises NotFound, Conflict for a name that is taken, InvalidInput.
    """
    with engine.database.write() as connection:
        _change(connection, job_id, changes)


def _change(connection: Connection, job_id: UUID, changes: Changes) -> None:
    job = jobs.get(connection, job_id)
    jobs.describe(connection, job_id, name=changes.name, description=changes.description)
    if changes.keep_all or changes.retention is not None:
        jobs.retain(connection, job_id, changes.retention)
    schedule = changes.schedule or schedules.of(job)
    if changes.configured is False:
        schedule = None
    elif changes.configured and schedule is None:
        raise InvalidInput(
            f"job {job.name!r} has no schedule that could be configured",
            hint="Say in JobScheduleOptions when it is to run.",
        )
    enabled = job.schedule_enabled if changes.enabled is None else changes.enabled
    schedules.configure(connection, job_id, schedule, enabled=enabled)


def toggle_schedule(engine: Engine, job_id: UUID) -> bool:
    """Let a job run by its schedule if it does not, and not if it does; gives which. Raises NotFound."""
    with engine.database.write() as connection:
        job = jobs.get(connection, job_id)
        enabled = not job.schedule_enabled
        schedules.configure(connection, job_id, schedules.of(job), enabled=enabled)
    return enabled


def clone(
    engine: Engine, job_id: UUID, name: str, repository_id: UUID, description: str | None = None
) -> UUID:
    """A new job of the same VMs, retention and schedule, which is not enabled; gives its id.

    Raises NotFound, and Conflict if the name is taken.
    """
    with engine.database.write() as connection:
        job = jobs.get(connection, job_id)
        repositories.get(connection, repository_id)
        made = jobs.add(
            connection,
            name=name,
            repository_id=repository_id,
            platform=job.platform,
            vms=[JobVm(vm.host_id, vm.vm_ref, vm.vm_name) for vm in jobs.objects(connection, job_id)],
            description=job.description if description is None else description,
        )
        jobs.retain(connection, made.id, jobs.retention_of(job))
        schedules.configure(connection, made.id, schedules.of(job), enabled=False)
    made_id: UUID = made.id
    return made_id


def add_vm(engine: Engine, job_id: UUID, host_id: UUID, ref: str) -> UUID:
    """Let a job back up one more VM, from its next run on; gives the id of its place in the job.

    Raises NotFound, VmNotFound, HostError, and Conflict if the job has it already.
    """
    with engine.database.read() as connection:
        jobs.get(connection, job_id)
        hosts.get(connection, host_id)
    [vm] = known(engine, [(host_id, ref)])
    with engine.database.write() as connection:
        made_id: UUID = jobs.add_object(connection, job_id, vm).id
    return made_id


def choose_vms(engine: Engine, job_id: UUID, vms: Sequence[tuple[UUID, str]]) -> None:
    """Let a job back up these VMs and no others, from its next run on.

    Raises NotFound, InvalidInput for no VM and for one that is named twice, VmNotFound and HostError of those that the
    job does not have yet.
    """
    if not vms:
        raise InvalidInput("a job needs at least one VM", hint="Remove the job if it is to back up nothing.")
    check_once(vms)
    with engine.database.read() as connection:
        jobs.get(connection, job_id)
        there = {(vm.host_id, vm.vm_ref): vm for vm in jobs.objects(connection, job_id)}
        for host_id, _ in vms:
            hosts.get(connection, host_id)
    new = [vm for vm in vms if vm not in there]
    kept = [JobVm(*vm, there[vm].vm_name) for vm in vms if vm in there]
    named = known(engine, new) if new else []
    with engine.database.write() as connection:
        jobs.choose_objects(connection, job_id, [*kept, *named])


def remove_vm(engine: Engine, job_id: UUID, object_id: UUID) -> None:
    """Let a job back up a VM no longer. Raises NotFound, and Conflict for its last one."""
    with engine.database.write() as connection:
        jobs.remove_object(connection, job_id, object_id)


def remove(engine: Engine, job_id: UUID) -> None:
    """Remove a job with its sessions; what it has backed up stays and can be restored.

    Raises NotFound, and Conflict while it runs or another job runs after it.
    """
    with engine.database.write() as connection:
        jobs.remove(connection, job_id)
