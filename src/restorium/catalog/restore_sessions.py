"""Restore sessions: the record of each restore, from its request to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from restorium.catalog import changes, rates, servers
from restorium.catalog.listing import Listing, Row, columns_of, optional
from restorium.catalog.restore_disks import NewDisk, disks, plan, record_disk, restart_disk
from restorium.catalog.sessions import SessionTable, add_event, events
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import hosts, restore_sessions
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.errors import Conflict, NotFound
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState

__all__ = [
    "NewDisk",
    "add_event",
    "advance",
    "create",
    "disks",
    "enter_phase",
    "events",
    "get",
    "listing",
    "plan",
    "record_disk",
    "request_cancel",
    "restart_disk",
    "spec_of",
    "take",
    "unfinished",
]

_sessions = SessionTable(restore_sessions, "restore session")
get = _sessions.get
take = _sessions.take
request_cancel = _sessions.request_cancel
_NAMES = {
    RestoreKind.VM: "{vm}@{at:%Y-%m-%d %H:%M:%S}",
    RestoreKind.FILE_LEVEL: "FLR_[{vm}]@{at:%Y-%m-%d %H:%M:%S}",
}


def create(
    connection: Connection,
    *,
    point: Row,
    spec: RestoreSpec,
    caller: Caller,
    idempotency_key: str | None = None,
    kind: RestoreKind = RestoreKind.VM,
) -> Row:
    """A Starting session: ``caller`` asks for a restore of ``point``, a row of points.vm_listing.

    With an idempotency key that the caller has used already, the session of that time. Raises Conflict if it
    was for something else, NotFound if the point has just been removed.
    """
    at = now(connection)
    values = {
        "id": new_id(connection),
        "name": _NAMES[kind].format(vm=point.vm_name, at=at),
        "job_type": kind,
        "created_at": at,
        "state": SessionState.STARTING,
        "result": SessionResult.NONE,
        "progress": 0,
        "vm_restore_point_id": point.id,
        "vm_restore_point_name": point.name,
        "host_id": point.host_id,
        "vm_ref": point.vm_ref,
        "vm_name": point.vm_name,
        "target_host_id": spec.host_id,
        "spec": _spec_json(spec),
        "phase": RestorePhase.QUEUED,
        "planned_bytes": 0,
        "done_bytes": 0,
        "requested_by": caller.account,
        "requested_from": caller.address,
        "idempotency_key": idempotency_key,
        "cancel_requested": False,
    }
    try:
        with connection.begin_nested():
            statement = sa.insert(restore_sessions).values(values).returning(*restore_sessions.columns)
            return connection.execute(statement).one()
    except IntegrityError:
        return _repeated(connection, spec, caller, idempotency_key)


def _repeated(connection: Connection, spec: RestoreSpec, caller: Caller, idempotency_key: str | None) -> Row:
    earlier = connection.execute(
        sa.select(restore_sessions).where(
            restore_sessions.c.requested_by == caller.account,
            restore_sessions.c.idempotency_key == idempotency_key,
        )
    ).one_or_none()
    if earlier is None:
        # A job's retention has removed it since the caller saw it.
        raise NotFound(f"there is no restore point {spec.vm_restore_point_id} any more")
    if spec_of(earlier) != spec:
        raise Conflict(
            f"the idempotency key {idempotency_key!r} was used for another restore, {earlier.id}",
            hint="Use a new key for each restore.",
        )
    return earlier


def spec_of(session: Row) -> RestoreSpec:
    """What was asked for."""
    stored: Mapping[str, Any] = session.spec
    return msgspec.convert(stored, RestoreSpec)


def advance(
    connection: Connection,
    session_id: UUID,
    state: SessionState,
    *,
    result: SessionResult = SessionResult.NONE,
    reason_code: str | None = None,
    reason: str | None = None,
    hint: str | None = None,
) -> Row:
    """Move a session along its state machine. Stopped takes a result, and a reason where that is not Success.

    Success and Warning set the progress to 100 and the phase to done. Raises IllegalTransition, NotFound.
    """
    values: dict[str, Any] = {}
    if state is SessionState.STOPPED:
        values = {"reason_code": reason_code, "reason": reason, "hint": hint}
        if result is not SessionResult.FAILED:
            values |= {"progress": 100, "phase": RestorePhase.DONE}
    return _sessions.move(connection, session_id, state, result, values)


def enter_phase(
    connection: Connection,
    session_id: UUID,
    phase: RestorePhase,
    *,
    restored_ref: str | None = None,
) -> None:
    """Note what an unfinished restore is doing, and the host's name of what it made unless None."""
    values: dict[str, Any] = {"phase": phase, "speed": None}
    if restored_ref is not None:
        values["restored_ref"] = restored_ref
    connection.execute(
        sa.update(restore_sessions)
        .where(restore_sessions.c.id == session_id, restore_sessions.c.state != SessionState.STOPPED)
        .values(values)
    )
    rates.resume(connection, session_id)


def unfinished(connection: Connection) -> Sequence[Row]:
    """Restores of VMs that are not Stopped, oldest first. Those of files are mounts, and have no flow."""
    return [session for session in _sessions.unfinished(connection) if session.job_type is RestoreKind.VM]


def _spec_json(spec: RestoreSpec) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(spec)
    return found


_MADE_ON = sa.func.coalesce(restore_sessions.c.target_host_id, restore_sessions.c.host_id)
"""The host of the VM that is made; its platform is that of the reference to it."""

listing = Listing(
    columns_of(restore_sessions, without={"spec", "idempotency_key"})
    | {"platform": optional(hosts.c.platform)}
    | servers.PARENT,
    servers.joined(restore_sessions.outerjoin(hosts, hosts.c.id == _MADE_ON)),
    cut=in_scope(restore_sessions.c.host_id, restore_sessions.c.vm_ref),
    special={"change": changes.is_after(restore_sessions)},
)
