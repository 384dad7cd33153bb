"""Jobs: what is backed up where, running them, and their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import job_sessions, jobs
from restorium.catalog.listing import Compare
from restorium.flows import backup
from restorium.flows import jobs as flows
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.roles import ADMINISTRATORS, MONITORS
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState


class JobVm(msgspec.Struct):
    """A VM to back up, by the host's own name of it; its name is the host's to say."""

    host_id: UUID
    vm_ref: str
    vm_name: str | None = None


class NewJob(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    repository_id: UUID
    vms: list[JobVm]


class Job(msgspec.Struct):
    """``next_run`` is when it runs by itself, None if it does not or only after another job."""

    id: UUID
    name: str
    repository_id: UUID
    repository_name: str
    created_at: datetime
    schedule_enabled: bool
    next_run: datetime | None
    vms: list[JobVm]


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
    """One run of a job in a list. ``progress`` is 0 to 100."""

    id: UUID
    name: str
    job_id: UUID
    job_name: str
    state: SessionState
    result: SessionResult
    progress: int
    created_at: datetime
    ended_at: datetime | None
    requested_by: str


class JobSession(JobSessionSummary, kw_only=True):
    """One run of a job with all that is known of it."""

    reason: Reason | None
    vms: list[VmSession]
    events: list[Event]


def _add(call: Call) -> Job:
    new: NewJob = call.body
    job_id = flows.add(call.engine, new.name, new.repository_id, [(vm.host_id, vm.vm_ref) for vm in new.vms])
    with call.engine.database.read() as connection:
        return _job(connection, jobs.listing.one(connection, job_id, call.visible))


def _list(call: Call) -> Items[Job]:
    with call.engine.database.read() as connection:
        rows = jobs.listing.page(connection, order=[("name", False)], limit=call.limit, visible=call.visible)
        return Items([_job(connection, row) for row in rows])


def _start(call: Call) -> JobSession:
    return _session(call, backup.start(call.engine, call.id, call.caller))


def _list_sessions(call: Call) -> Items[JobSessionSummary]:
    with call.engine.database.read() as connection:
        rows = job_sessions.listing.page(
            connection, order=[("created_at", True)], limit=call.limit, visible=call.visible
        )
    return Items([show(row, JobSessionSummary) for row in rows])


def _get_session(call: Call) -> JobSession:
    return _session(call, call.id)


def _job(connection: Connection, row: Any) -> Job:
    vms = [show(vm, JobVm) for vm in jobs.objects(connection, row.id)]
    return Job(
        row.id,
        row.name,
        row.repository_id,
        row.repository_name,
        row.created_at,
        row.schedule_enabled,
        row.next_run,
        vms,
    )


def _session(call: Call, session_id: UUID) -> JobSession:
    with call.engine.database.read() as connection:
        row = job_sessions.listing.one(connection, session_id, call.visible)
        if row is None:
            raise NotFound(f"there is no job session {session_id}")
        vms = job_sessions.task_listing.page(
            connection, where=Compare("job_session_id", "==", session_id), visible=call.visible
        )
        events = job_sessions.events(connection, session_id)
    summary = msgspec.structs.asdict(show(row, JobSessionSummary))
    return JobSession(
        **summary,
        reason=reason_of(row),
        vms=[show(vm, VmSession) for vm in vms],
        events=[show(event, Event) for event in events],
    )


OPERATIONS = (
    Operation("GET", "/jobs", _list, MONITORS),
    Operation("POST", "/jobs", _add, ADMINISTRATORS, body=NewJob, status=201),
    Operation("POST", "/jobs/{id}/start", _start, ADMINISTRATORS, status=202),
    Operation("GET", "/job-sessions", _list_sessions, MONITORS),
    Operation("GET", "/job-sessions/{id}", _get_session, MONITORS),
)
