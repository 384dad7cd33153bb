"""Restores: planning one, asking for one, watching it, stopping it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import points, rates, restore_sessions
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.visibility import WHOLE_HOST, may_see
from restorium.flows import restore as flows
from restorium.flows import restore_plan
from restorium.native.exchange import show
from restorium.native.lines import Lines
from restorium.native.operation import Call, Operation
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.roles import EVERYONE, RESTORERS
from restorium.vocabulary.errors import AccessDenied, NotFound
from restorium.vocabulary.restore import Placement, RestoreSpec
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState


class NewPlacement(msgspec.Struct, forbid_unknown_fields=True):
    """Where on its host the VM goes, in the host's own refs or names. ``storage``: the datastore or storage profile of
    its disks. ``networks``: by the network's name in the restore point, the one to connect to instead. ``container``:
    the folder, resource pool, VDC or vApp. What is left out is the host's to choose.
    """

    container: str | None = None
    storage: str | None = None
    networks: dict[str, str] = msgspec.field(default_factory=dict)


class NewRestore(msgspec.Struct, forbid_unknown_fields=True):
    """A restore over the original, or with ``keep_original`` beside it, as ``new_name`` or a name made up.

    host_id: restore to this host instead, which needs ``keep_original``, as ``placement`` does. instant: run the VM
    from the restore point at once and move it off the repository while it runs; beside the original too.
    """

    restore_point_id: UUID
    keep_original: bool = False
    new_name: str | None = None
    power_on: bool = False
    quick_rollback: bool = False
    host_id: UUID | None = None
    placement: NewPlacement = msgspec.field(default_factory=NewPlacement)
    instant: bool = False


class Links(msgspec.Struct, rename={"self_": "self"}):
    """Where more is to be had and done; null where it is not. ``enterprise_manager`` is the session in that API."""

    self_: str
    events: str
    speed: str
    cancel: str | None
    evidence: str | None
    restore_point: str | None
    enterprise_manager: str


class RestoreSummary(msgspec.Struct, kw_only=True):
    """One restore in a list. ``progress`` is 0 to 100, and 100 only once verified and finalised.

    kind: RestoreVm, or FileLevelRestore for a mount. duration: seconds until its end, or until now. speed: bytes a
    second that it copies or verifies now. seconds_left: until all is verified; null if nobody can tell.
    """

    id: UUID
    name: str
    kind: RestoreKind
    vm_name: str
    state: SessionState
    phase: RestorePhase
    result: SessionResult
    progress: int
    planned_bytes: int
    done_bytes: int
    created_at: datetime
    ended_at: datetime | None
    duration: float
    speed: int | None
    seconds_left: int | None
    requested_by: str
    requested_from: str | None
    reason: Reason | None
    links: Links


class DiskProgress(msgspec.Struct):
    """One disk of a restore, in bytes. ``size`` is the virtual size, ``planned_bytes`` the data in it.

    ``digest`` is that of docs/evidence.md, once the disk is verified.
    """

    disk_key: str
    size: int
    planned_bytes: int
    copied_bytes: int
    verified_bytes: int
    result: SessionResult
    reason: str | None
    digest: str | None


class RestoreSession(RestoreSummary, kw_only=True):
    """One restore with all that is known of it. ``target_host_id`` is null for a restore to the VM's own host.

    ``instant``: the VM runs from its restore point, and its disks are moved off it meanwhile.
    """

    restore_point_id: UUID | None
    target_host_id: UUID | None
    instant: bool
    restored_ref: str | None
    cancel_requested: bool
    disks: list[DiskProgress]
    events: list[Event]


def summary(row: Row, at: datetime) -> RestoreSummary:
    """A row of restore_sessions.listing as it is at a moment."""
    return RestoreSummary(
        id=row.id,
        name=row.name,
        kind=row.job_type,
        vm_name=row.vm_name,
        state=row.state,
        phase=row.phase,
        result=row.result,
        progress=row.progress,
        planned_bytes=row.planned_bytes,
        done_bytes=row.done_bytes,
        created_at=row.created_at,
        ended_at=row.ended_at,
        duration=max(0.0, ((row.ended_at or at) - row.created_at).total_seconds()),
        speed=rates.speed_of(row, at),
        seconds_left=rates.seconds_left(row, at),
        requested_by=row.requested_by,
        requested_from=row.requested_from,
        reason=reason_of(row),
        links=_links(row),
    )


def whole(connection: Connection, row: Row, at: datetime, *, after: int = 0) -> tuple[RestoreSession, int]:
    """All of a session, with its events behind that one, and the last of these, ``after`` if there is none."""
    events = restore_sessions.events(connection, row.id, after=after)
    shown = RestoreSession(
        **msgspec.structs.asdict(summary(row, at)),
        restore_point_id=row.vm_restore_point_id,
        target_host_id=row.target_host_id,
        instant=restore_sessions.spec_of(restore_sessions.get(connection, row.id)).instant,
        restored_ref=row.restored_ref,
        cancel_requested=row.cancel_requested,
        disks=[show(disk, DiskProgress) for disk in restore_sessions.disks(connection, row.id)],
        events=[show(event, Event) for event in events],
    )
    return shown, events[-1].id if events else after


def find(connection: Connection, session_id: UUID, visible: Visibility) -> Row:
    """A row of restore_sessions.listing. Raises NotFound."""
    row = restore_sessions.listing.one(connection, session_id, visible)
    if row is None:
        raise NotFound(f"there is no restore session {session_id}")
    return row


def _start(call: Call) -> RestoreSession:
    spec = _spec(call)
    key = call.request.headers.get("Idempotency-Key")
    return _shown(call, flows.start(call.engine, spec, call.caller, idempotency_key=key))


def _plan(call: Call) -> Lines:
    spec = _spec(call)
    return Lines(lambda progress, left: restore_plan.plan(call.engine, spec, progress, left))


def _spec(call: Call) -> RestoreSpec:
    """What the body asks for, if the caller may have it. Raises NotFound, AccessDenied, InvalidInput."""
    new: NewRestore = call.body
    spec = RestoreSpec(
        new.restore_point_id,
        power_on=new.power_on,
        quick_rollback=new.quick_rollback,
        keep_original=new.keep_original,
        new_name=new.new_name,
        host_id=new.host_id,
        placement=Placement(**msgspec.structs.asdict(new.placement)),
        instant=new.instant,
    )
    with call.engine.database.read() as connection:
        if points.vm_listing.one(connection, new.restore_point_id, call.visible) is None:
            raise NotFound(f"there is no restore point {new.restore_point_id}")
        if new.host_id is not None and not may_see(connection, call.visible, new.host_id, WHOLE_HOST):
            raise AccessDenied(
                f"{call.caller.account} may not restore to the host {new.host_id}",
                hint="Ask a Portal Administrator for a restore scope of the whole host.",
            )
        flows.asked_for(connection, spec)
    return spec


def _get(call: Call) -> RestoreSession:
    return _shown(call, call.id)


def _cancel(call: Call) -> RestoreSession:
    _shown(call, call.id)
    flows.cancel(call.engine, call.id)
    return _shown(call, call.id)


def _shown(call: Call, session_id: UUID) -> RestoreSession:
    with call.engine.database.read() as connection:
        row = find(connection, session_id, call.visible)
        return whole(connection, row, call.engine.clock.now())[0]


def _links(row: Row) -> Links:
    here, stopped = f"/v1/restore-sessions/{row.id}", row.state is SessionState.STOPPED
    point_id = row.vm_restore_point_id
    return Links(
        self_=here,
        events=f"{here}/events",
        speed=f"{here}/speed",
        cancel=None if stopped else f"{here}/cancel",
        evidence=f"{here}/evidence" if stopped else None,
        restore_point=None if point_id is None else f"/v1/restore-points/{point_id}",
        enterprise_manager=f"/api/restoreSessions/{row.id}?format=Entity",
    )


OPERATIONS = (
    Operation("POST", "/restores", _start, RESTORERS, body=NewRestore, status=202),
    Operation("POST", "/restores/plan", _plan, RESTORERS, body=NewRestore),
    Operation("GET", "/restore-sessions/{id}", _get, EVERYONE),
    Operation("POST", "/restore-sessions/{id}/cancel", _cancel, RESTORERS, status=202),
)
