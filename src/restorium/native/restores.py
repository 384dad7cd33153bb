"""Restores: planning one, asking for one, watching it, stopping it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import points, restore_sessions
from restorium.catalog.visibility import WHOLE_HOST, may_see
from restorium.flows import restore as flows
from restorium.flows import restore_plan
from restorium.native.exchange import Items, show
from restorium.native.lines import Lines
from restorium.native.operation import Call, Operation
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.roles import EVERYONE, RESTORERS
from restorium.vocabulary.errors import AccessDenied, NotFound
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState


class NewRestore(msgspec.Struct, forbid_unknown_fields=True):
    """A restore over the original, or with ``keep_original`` beside it, as ``new_name`` or a name made up.

    host_id: restore to this host instead, which needs ``keep_original``.
    """

    restore_point_id: UUID
    keep_original: bool = False
    new_name: str | None = None
    power_on: bool = False
    quick_rollback: bool = False
    host_id: UUID | None = None


class RestoreSummary(msgspec.Struct, kw_only=True):
    """One restore in a list. ``progress`` is 0 to 100, and 100 only once verified and finalised."""

    id: UUID
    name: str
    vm_name: str
    state: SessionState
    phase: RestorePhase
    result: SessionResult
    progress: int
    planned_bytes: int
    done_bytes: int
    created_at: datetime
    ended_at: datetime | None
    requested_by: str


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
    """One restore with all that is known of it. ``target_host_id`` is null for a restore to the VM's own host."""

    restore_point_id: UUID | None
    target_host_id: UUID | None
    restored_ref: str | None
    requested_from: str | None
    cancel_requested: bool
    reason: Reason | None
    disks: list[DiskProgress]
    events: list[Event]


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


def _list(call: Call) -> Items[RestoreSummary]:
    with call.engine.database.read() as connection:
        rows = restore_sessions.listing.page(
            connection, order=[("created_at", True)], limit=call.limit, visible=call.visible
        )
    return Items([show(row, RestoreSummary) for row in rows])


def _get(call: Call) -> RestoreSession:
    return _shown(call, call.id)


def _cancel(call: Call) -> RestoreSession:
    _shown(call, call.id)
    flows.cancel(call.engine, call.id)
    return _shown(call, call.id)


def _shown(call: Call, session_id: UUID) -> RestoreSession:
    with call.engine.database.read() as connection:
        row = restore_sessions.listing.one(connection, session_id, call.visible)
        if row is None:
            raise NotFound(f"there is no restore session {session_id}")
        disks = restore_sessions.disks(connection, session_id)
        events = restore_sessions.events(connection, session_id)
    summary = msgspec.structs.asdict(show(row, RestoreSummary))
    return RestoreSession(
        **summary,
        restore_point_id=row.vm_restore_point_id,
        target_host_id=row.target_host_id,
        restored_ref=row.restored_ref,
        requested_from=row.requested_from,
        cancel_requested=row.cancel_requested,
        reason=reason_of(row),
        disks=[show(disk, DiskProgress) for disk in disks],
        events=[show(event, Event) for event in events],
    )


OPERATIONS = (
    Operation("POST", "/restores", _start, RESTORERS, body=NewRestore, status=202),
    Operation("POST", "/restores/plan", _plan, RESTORERS, body=NewRestore),
    Operation("GET", "/restore-sessions", _list, EVERYONE, query=("limit",)),
    Operation("GET", "/restore-sessions/{id}", _get, EVERYONE),
    Operation("POST", "/restore-sessions/{id}/cancel", _cancel, RESTORERS, status=202),
)
