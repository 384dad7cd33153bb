"""Job sessions: one run of a job each, or a backup of no job, and in it a task session for each VM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import changes, rows, servers
from restorium.catalog import jobs as job_rows
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Listing, Row, columns_of, optional
from restorium.catalog.sessions import SessionTable, add_event, events
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import (
    hosts,
    job_sessions,
    jobs,
    restore_points,
    task_sessions,
    vm_restore_points,
)
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.backups import JobType, RunKind
from restorium.vocabulary.errors import Conflict, NotFound
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState

__all__ = [
    "add_event",
    "advance",
    "create",
    "create_import",
    "create_quick",
    "create_zip",
    "end_task",
    "events",
    "get",
    "listing",
    "record_progress",
    "record_task",
    "request_cancel",
    "running",
    "sessions_in_scope",
    "start_task",
    "take",
    "task_listing",
    "tasks",
    "unfinished",
]

_sessions = SessionTable(job_sessions, "job session")
get = _sessions.get
take = _sessions.take
request_cancel = _sessions.request_cancel
unfinished = _sessions.unfinished
_ZIP, _IMPORT = "VeeamZip", "Import"
"""What stands for the job's name where there is no job."""


def create(
    connection: Connection, job_id: UUID, caller: Caller, *, retry: bool = False, attempt: int | None = None
) -> Row:
    """A Starting session of a job, with a Pending task session for each of its VMs.

    retry: only for the VMs that failed in the job's last session. attempt: of the schedule, if that asks.
    Raises NotFound, and Conflict while an earlier session of the job is unfinished or if there is nothing to retry.
    """
    job = _idle(connection, job_id)
    vms = job_rows.objects(connection, job_id)
    if retry:
        failed = _failed(connection, job_id)
        vms = [vm for vm in vms if (vm.host_id, vm.vm_ref) in failed]
        if not vms:
            raise Conflict(f"no VM failed in the last run of job {job.name!r}", hint="Start the job instead.")
    values = {"kind": RunKind.JOB, "is_retry": retry, "attempt": attempt}
    return _insert(connection, caller, vms, _of_job(job) | values)


def create_quick(connection: Connection, job_id: UUID, host_id: UUID, vm_ref: str, caller: Caller) -> Row:
    """A Starting session of a job for one of its VMs alone.

    Raises NotFound, also if the job has no such VM, and Conflict while a session of the job is unfinished.
    """
    job = _idle(connection, job_id)
    vms = [vm for vm in job_rows.objects(connection, job_id) if (vm.host_id, vm.vm_ref) == (host_id, vm_ref)]
    if not vms:
        raise NotFound(f"job {job.name!r} has no VM {vm_ref!r}")
    return _insert(connection, caller, vms, _of_job(job) | {"kind": RunKind.QUICK_BACKUP})


def create_zip(
    connection: Connection,
    repository_id: UUID,
    vms: Sequence[JobVm],
    caller: Caller,
    *,
    delete_after: datetime | None,
) -> Row:
    """A Starting session of no job. delete_after: when what it makes is to go; None: never."""
    title = vms[0].vm_name if len(vms) == 1 else f"{len(vms)} VMs"
    values = {
        "name": f"{_ZIP} {title}",
        "kind": RunKind.VEEAM_ZIP,
        "job_type": JobType.BACKUP,
        "repository_id": repository_id,
        "delete_after": delete_after,
    }
    return _insert(connection, caller, vms, values)


def create_import(
    connection: Connection, repository_id: UUID, vm: JobVm, files: Sequence[str], caller: Caller
) -> Row:
    """A Starting session of no job, whose one VM has these image files, by their paths, for disks."""
    values = {
        "name": f"{_IMPORT} {vm.vm_name}",
        "kind": RunKind.IMPORT,
        "job_type": JobType.BACKUP,
        "repository_id": repository_id,
        "image_files": list(files),
    }
    return _insert(connection, caller, [vm], values)


def _idle(connection: Connection, job_id: UUID) -> Row:
    """A job, locked, that does not run. Raises NotFound, Conflict."""
    job = rows.locked(connection, jobs, "job", job_id)
    if running(connection, job_id) is not None:
        raise Conflict(f"job {job.name!r} is running already", hint="Wait until its session has stopped.")
    return job


def _of_job(job: Row) -> dict[str, Any]:
    return {
        "name": job.name,
        "job_id": job.id,
        "job_type": job.job_type,
        "repository_id": job.repository_id,
    }


def _insert(
    connection: Connection, caller: Caller, vms: Sequence[Row | JobVm], values: dict[str, Any]
) -> Row:
    """``values``: the session's own, with the ``name`` that its moment is added to."""
    at = now(connection)
    session_id = new_id(connection)
    complete = {
        "id": session_id,
        "created_at": at,
        "state": SessionState.STARTING,
        "result": SessionResult.NONE,
        "progress": 0,
        "is_retry": False,
        "requested_by": caller.account,
        "cancel_requested": False,
    }
    complete |= values | {"name": f"{values['name']}@{at:%Y-%m-%d %H:%M:%S}"}
    row = connection.execute(sa.insert(job_sessions).values(complete).returning(*job_sessions.columns)).one()
    for vm in vms:
        connection.execute(
            sa.insert(task_sessions).values(
                id=new_id(connection),
                name=f"{vm.vm_name}@{at:%Y-%m-%d %H:%M:%S}",
                job_session_id=session_id,
                host_id=vm.host_id,
                vm_ref=vm.vm_ref,
                vm_name=vm.vm_name,
                created_at=at,
                state=TaskSessionState.PENDING,
                result=SessionResult.NONE,
                total_bytes=0,
                read_bytes=0,
                stored_bytes=0,
            )
        )
    return row


def _failed(connection: Connection, job_id: UUID) -> set[tuple[UUID, str]]:
    """Host and reference of the VMs that failed in the job's last run."""
    last = (
        sa.select(job_sessions.c.id)
        .where(job_sessions.c.job_id == job_id, job_sessions.c.kind == RunKind.JOB)
        .order_by(job_sessions.c.created_at.desc(), job_sessions.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = connection.execute(
        sa.select(task_sessions.c.host_id, task_sessions.c.vm_ref).where(
            task_sessions.c.job_session_id == last, task_sessions.c.result == SessionResult.FAILED
        )
    )
    return {(row.host_id, row.vm_ref) for row in found}


def running(connection: Connection, job_id: UUID) -> Row | None:
    """The job's unfinished session; None if it does not run."""
    return connection.execute(
        sa.select(job_sessions).where(
            job_sessions.c.job_id == job_id, job_sessions.c.state != SessionState.STOPPED
        )
    ).first()


def advance(
    connection: Connection,
    session_id: UUID,
    state: SessionState,
    *,
    result: SessionResult = SessionResult.NONE,
    reason_code: str | None = None,
    reason: str | None = None,
    hint: str | None = None,
    restore_point_id: UUID | None = None,
) -> Row:
    """Move a session along its state machine. Stopped takes a result, and a reason where that is not Success.

    restore_point_id: what it made. Success and Warning set the progress to 100.
    Raises IllegalTransition, NotFound.
    """
    values: dict[str, Any] = {}
    if restore_point_id is not None:
        values["restore_point_id"] = restore_point_id
    if state is SessionState.STOPPED:
        values |= {"reason_code": reason_code, "reason": reason, "hint": hint}
        if result is not SessionResult.FAILED:
            values["progress"] = 100
    return _sessions.move(connection, session_id, state, result, values)


def record_progress(connection: Connection, session_id: UUID, percent: int) -> None:
    """Note how far a run is: 0 to 99. Less than noted before, or a Stopped session, leaves it as it was."""
    connection.execute(
        sa.update(job_sessions)
        .where(
            job_sessions.c.id == session_id,
            job_sessions.c.state != SessionState.STOPPED,
            job_sessions.c.progress < min(percent, 99),
        )
        .values(progress=min(percent, 99))
    )


def tasks(connection: Connection, session_id: UUID) -> Sequence[Row]:
    """The task sessions of a run, by VM name."""
    return connection.execute(
        sa.select(task_sessions)
        .where(task_sessions.c.job_session_id == session_id)
        .order_by(task_sessions.c.vm_name, task_sessions.c.id)
    ).all()


def start_task(connection: Connection, task_id: UUID, *, total_bytes: int) -> None:
    """A worker begins with a VM, whose disks have ``total_bytes``. A Completed task stays as it is."""
    connection.execute(
        sa.update(task_sessions)
        .where(task_sessions.c.id == task_id, task_sessions.c.state != TaskSessionState.COMPLETED)
        .values(state=TaskSessionState.IN_PROGRESS, total_bytes=total_bytes)
    )


def record_task(connection: Connection, task_id: UUID, *, read_bytes: int, stored_bytes: int) -> None:
    """Note how much has been read of a VM and stored for it."""
    connection.execute(
        sa.update(task_sessions)
        .where(task_sessions.c.id == task_id)
        .values(read_bytes=read_bytes, stored_bytes=stored_bytes)
    )


def end_task(
    connection: Connection,
    task_id: UUID,
    result: SessionResult,
    *,
    reason_code: str | None = None,
    reason: str | None = None,
) -> bool:
    """Close a task session. False, and nothing changed, if it is Completed already."""
    closed = connection.execute(
        sa.update(task_sessions)
        .where(task_sessions.c.id == task_id, task_sessions.c.state != TaskSessionState.COMPLETED)
        .values(
            state=TaskSessionState.COMPLETED,
            result=result,
            ended_at=now(connection),
            reason_code=reason_code,
            reason=reason,
        )
    )
    return closed.rowcount == 1


_job_name = sa.type_coerce(sa.func.coalesce(jobs.c.name, sa.literal(_ZIP, sa.Text)), sa.Text)
sessions_in_scope = sa.exists(
    sa.select(sa.literal(1))
    .select_from(task_sessions)
    .where(
        task_sessions.c.job_session_id == job_sessions.c.id,
        in_scope(task_sessions.c.host_id, task_sessions.c.vm_ref),
    )
).correlate(job_sessions)
listing = Listing(
    columns_of(job_sessions)
    | {"job_name": _job_name, "restore_point_name": optional(restore_points.c.name)}
    | servers.PARENT,
    servers.joined(
        job_sessions.outerjoin(jobs, jobs.c.id == job_sessions.c.job_id).outerjoin(
            restore_points, restore_points.c.id == job_sessions.c.restore_point_id
        )
    ),
    cut=sessions_in_scope,
    special={"change": changes.is_after(job_sessions)},
)
"""Seen by whoever may see one of the VMs in it."""
task_listing = Listing(
    columns_of(task_sessions)
    | {
        "job_session_name": job_sessions.c.name,
        "job_id": job_sessions.c.job_id,
        "job_name": _job_name,
        "platform": hosts.c.platform,
        "vm_restore_point_id": optional(vm_restore_points.c.id),
        "vm_restore_point_name": optional(vm_restore_points.c.name),
    }
    | servers.PARENT,
    servers.joined(
        task_sessions.join(job_sessions, job_sessions.c.id == task_sessions.c.job_session_id)
        .outerjoin(jobs, jobs.c.id == job_sessions.c.job_id)
        .join(hosts, hosts.c.id == task_sessions.c.host_id)
        .outerjoin(
            vm_restore_points,
            sa.and_(
                vm_restore_points.c.restore_point_id == job_sessions.c.restore_point_id,
                vm_restore_points.c.host_id == task_sessions.c.host_id,
                vm_restore_points.c.vm_ref == task_sessions.c.vm_ref,
            ),
        )
    ),
    cut=in_scope(task_sessions.c.host_id, task_sessions.c.vm_ref),
)
