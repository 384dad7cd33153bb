"""Jobs: what is backed up where and when, how long it is kept, running them, and their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import job_sessions, jobs, schedules
from restorium.catalog.listing import Compare
from restorium.flows import backup
from restorium.flows import jobs as flows
from restorium.flows.jobs import Changes
from restorium.native.exchange import show
from restorium.native.exports import Export
from restorium.native.lists import BY_NAME, Choice, guid, members, one_of, page_of, page_or_file, period, text
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.retention import Retention
from restorium.native.retention import shown as shown_retention
from restorium.native.roles import ADMINISTRATORS, MONITORS
from restorium.native.schedules import Schedule
from restorium.native.schedules import shown as shown_schedule
from restorium.vocabulary.backups import RunKind
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState


class JobVm(msgspec.Struct):
    """A VM to back up, by the host's own name of it; its name is the host's to say."""

    host_id: UUID
    vm_ref: str
    vm_name: str | None = None


class NewJob(msgspec.Struct, forbid_unknown_fields=True):
    """Without a ``schedule`` it runs when it is started, without a ``retention`` all is kept."""

    name: str
    repository_id: UUID
    vms: list[JobVm]
    description: str = ""
    schedule: Schedule | None = None
    retention: Retention | None = None


class JobVms(msgspec.Struct, forbid_unknown_fields=True):
    """All VMs that a job is to back up."""

    vms: list[JobVm]


class ProtectedVm(JobVm, kw_only=True):
    """A VM that a job backs up; ``id`` is its place in the job."""

    id: UUID


class JobChanges(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change of a job; what is null or absent stays."""

    name: str | None = None
    description: str | None = None
    schedule_enabled: bool | None = None


class Job(msgspec.Struct):
    """``next_run`` is when it runs by itself, None if it does not or only after another job.

    ``schedule`` is None if it has none, ``retention`` if all its restore points are kept.
    """

    id: UUID
    name: str
    description: str
    repository_id: UUID
    repository_name: str
    created_at: datetime
    schedule_enabled: bool
    next_run: datetime | None
    schedule: Schedule | None
    retention: Retention | None
    vms: list[ProtectedVm]


class VmSession(msgspec.Struct):
    """One VM in one run, in bytes: ``total_bytes`` to look at, ``read_bytes`` read, ``stored_bytes`` new."""

    vm_name: str
    vm_ref: str
    state: TaskSessionState
    result: SessionResult
    reason: str | None
    total_bytes: int
    read_bytes: int
    stored_bytes: int


class JobSessionSummary(msgspec.Struct, kw_only=True):
    """One run of a job, or a backup of no job, in a list. ``progress`` is 0 to 100."""

    id: UUID
    name: str
    kind: RunKind
    job_id: UUID | None
    job_name: str
    state: SessionState
    result: SessionResult
    progress: int
    created_at: datetime
    ended_at: datetime | None
    requested_by: str


class JobSession(JobSessionSummary, kw_only=True):
    """One run of a job with all that is known of it: to whom may see all of its VMs, ``reason`` and ``events`` too."""

    reason: Reason | None
    vms: list[VmSession]
    events: list[Event]


_SESSIONS = Choice(
    "-created_at",
    ("created_at", "ended_at"),
    {
        "job": guid("job_id"),
        "state": one_of("state", SessionState),
        "result": one_of("result", SessionResult),
        "kind": one_of("kind", RunKind),
        "requested_by": text("requested_by"),
        **period("created_at"),
    },
    partial=frozenset({"ended_at"}),
)


def _add(call: Call) -> Job:
    new: NewJob = call.body
    changes = Changes(
        description=new.description,
        enabled=None if new.schedule is None else new.schedule.enabled,
        schedule=None if new.schedule is None else new.schedule.value(),
        retention=None if new.retention is None else new.retention.value(),
    )
    vms = [(vm.host_id, vm.vm_ref) for vm in new.vms]
    return _shown(call, flows.add(call.engine, new.name, new.repository_id, vms, changes))


def _get(call: Call) -> Job:
    return _shown(call, call.id)


def _change(call: Call) -> Job:
    asked: JobChanges = call.body
    return _edit(call, Changes(asked.name, asked.description, enabled=asked.schedule_enabled))


def _set_schedule(call: Call) -> Job:
    asked: Schedule = call.body
    return _edit(call, Changes(schedule=asked.value(), enabled=asked.enabled))


def _clear_schedule(call: Call) -> Job:
    return _edit(call, Changes(configured=False, enabled=False))


def _set_retention(call: Call) -> Job:
    asked: Retention = call.body
    return _edit(call, Changes(retention=asked.value()))


def _clear_retention(call: Call) -> Job:
    return _edit(call, Changes(keep_all=True))


def _edit(call: Call, changes: Changes) -> Job:
    flows.edit(call.engine, call.id, changes)
    return _shown(call, call.id)


def _add_vm(call: Call) -> Job:
    asked: JobVm = call.body
    flows.add_vm(call.engine, call.id, asked.host_id, asked.vm_ref)
    return _shown(call, call.id)


def _choose_vms(call: Call) -> Job:
    """Let the job back up these VMs and no others."""
    asked: JobVms = call.body
    flows.choose_vms(call.engine, call.id, [(vm.host_id, vm.vm_ref) for vm in asked.vms])
    return _shown(call, call.id)


def _remove_vm(call: Call) -> None:
    flows.remove_vm(call.engine, call.id, call.path_id("vm_id"))


def _remove(call: Call) -> None:
    flows.remove(call.engine, call.id)


def _list(call: Call) -> Page[Job]:
    """By name."""
    return page_of(
        call, jobs.listing, BY_NAME, lambda connection, rows: [_job(connection, row) for row in rows]
    )


def _start(call: Call) -> JobSession:
    return session_of(call, backup.start(call.engine, call.id, call.caller))


def _list_sessions(call: Call) -> Page[JobSessionSummary] | Export:
    """Newest first; ``job`` is the id of a job. ``state``, ``result`` and ``kind`` are one or more names with commas
    between them; ``since`` and ``until`` are about when it was asked for.

    ``sort`` is created_at or ended_at (of those that have ended), descending with a ``-`` in front. With ``format`` csv
    or ndjson, or such an Accept header, all that pass are sent, not one page.
    """
    columns = JobSessionSummary.__struct_fields__
    return page_or_file(call, job_sessions.listing, _SESSIONS, members(JobSessionSummary), columns)


def _get_session(call: Call) -> JobSession:
    return session_of(call, call.id)


def _cancel_session(call: Call) -> JobSession:
    """Ask a run to stop; of the VM that it is at nothing is kept."""
    session_of(call, call.id)
    backup.cancel(call.engine, call.id)
    return session_of(call, call.id)


def _shown(call: Call, job_id: UUID) -> Job:
    with call.engine.database.read() as connection:
        row = jobs.listing.one(connection, job_id, call.visible)
        if row is None:
            raise NotFound(f"there is no job {job_id}")
        return _job(connection, row)


def _job(connection: Connection, row: Any) -> Job:
    schedule, kept = schedules.of(row), jobs.retention_of(row)
    return Job(
        id=row.id,
        name=row.name,
        description=row.description,
        repository_id=row.repository_id,
        repository_name=row.repository_name,
        created_at=row.created_at,
        schedule_enabled=row.schedule_enabled,
        next_run=row.next_run,
        schedule=None if schedule is None else shown_schedule(schedule, enabled=row.schedule_enabled),
        retention=None if kept is None else shown_retention(kept),
        vms=[show(vm, ProtectedVm) for vm in jobs.objects(connection, row.id)],
    )


def session_of(call: Call, session_id: UUID) -> JobSession:
    """A run as the API shows it. Raises NotFound, also for what the caller may not see."""
    with call.engine.database.read() as connection:
        return whole(call, connection, session_id)[0]


def whole(call: Call, connection: Connection, session_id: UUID, *, after: int = 0) -> tuple[JobSession, int]:
    """All of a run, with its events behind that one, and the last of these, ``after`` if there is none.

    Raises NotFound, also for what the caller may not see.
    """
    row = job_sessions.listing.one(connection, session_id, call.visible)
    if row is None:
        raise NotFound(f"there is no job session {session_id}")
    vms = job_sessions.task_listing.page(
        connection, where=Compare("job_session_id", "==", session_id), visible=call.visible
    )
    sees_all = len(vms) == len(job_sessions.tasks(connection, session_id))
    events = job_sessions.events(connection, session_id, after=after) if sees_all else ()
    session = JobSession(
        **msgspec.structs.asdict(show(row, JobSessionSummary)),
        reason=reason_of(row) if sees_all else None,
        vms=[show(vm, VmSession) for vm in vms],
        events=[show(event, Event) for event in events],
    )
    return session, events[-1].id if events else after


OPERATIONS = (
    Operation("GET", "/jobs", _list, MONITORS, query=BY_NAME.query),
    Operation("POST", "/jobs", _add, ADMINISTRATORS, body=NewJob, status=201),
    Operation("GET", "/jobs/{id}", _get, MONITORS),
    Operation("PATCH", "/jobs/{id}", _change, ADMINISTRATORS, body=JobChanges),
    Operation("DELETE", "/jobs/{id}", _remove, ADMINISTRATORS, status=204),
    Operation("PUT", "/jobs/{id}/schedule", _set_schedule, ADMINISTRATORS, body=Schedule),
    Operation("DELETE", "/jobs/{id}/schedule", _clear_schedule, ADMINISTRATORS),
    Operation("PUT", "/jobs/{id}/retention", _set_retention, ADMINISTRATORS, body=Retention),
    Operation("DELETE", "/jobs/{id}/retention", _clear_retention, ADMINISTRATORS),
    Operation("PUT", "/jobs/{id}/vms", _choose_vms, ADMINISTRATORS, body=JobVms),
    Operation("POST", "/jobs/{id}/vms", _add_vm, ADMINISTRATORS, body=JobVm, status=201),
    Operation("DELETE", "/jobs/{id}/vms/{vm_id}", _remove_vm, ADMINISTRATORS, status=204),
    Operation("POST", "/jobs/{id}/start", _start, ADMINISTRATORS, status=202),
    Operation("GET", "/job-sessions", _list_sessions, MONITORS, query=(*_SESSIONS.query, "format")),
    Operation("GET", "/job-sessions/{id}", _get_session, MONITORS),
    Operation("POST", "/job-sessions/{id}/cancel", _cancel_session, ADMINISTRATORS, status=202),
)
