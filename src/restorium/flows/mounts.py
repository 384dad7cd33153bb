"""File-level restore: mounting or browsing a restore point, reading from the mount, unmounting.

A mount is a row in the catalog and nothing else: any process reads it, and a restart leaves it where it is. Its
restore session is Working from the mount to its end. It ends when it is unmounted, cancelled, or when its logon
session ends by a logout or by idling; what did not see to that at once is seen to at the next heartbeat.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import logons, mounts, restore_sessions
from restorium.catalog.listing import Row
from restorium.catalog.logons import Logon
from restorium.flows import evidence, webhooks
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.guests import guest_of
from restorium.guest import Guest
from restorium.vocabulary.errors import Cancelled
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState


def mount(engine: Engine, logon: Logon, point: Row, caller: Caller) -> Row:
    """Mount a restore point, a row of points.vm_listing, for a logon session; gives the mount.

    What fails is in the restore session too. Raises NotAuthenticated if the logon session has ended, Unsupported if
    no file system is found, DataCorrupt, ChunkMissing, StorageUnavailable.
    """
    with engine.database.write() as connection:
        mounts.hold(connection, logon)
        made = _begin(connection, engine, logon, point, caller)
    return _looked_into(engine, made, caller)


def browse(engine: Engine, logon: Logon, point: Row, caller: Caller) -> Row:
    """Browse a restore point, a row of vm_names.point_listing, in the catalog of VMs; gives the mount.

    A logon session browses a restore point once: the browse that there is, or a new one. Raises as ``mount`` does.
    """
    with engine.database.write() as connection:
        mounts.hold(connection, logon)
        made = mounts.find(connection, logon, point.id, mounts.BROWSE)
        if made is not None:
            return made
        made = _begin(connection, engine, logon, point, caller, mounts.BROWSE)
    return _looked_into(engine, made, caller)


def opened(engine: Engine, mounted: Row) -> Guest:
    """What a mount shows. Raises as ``guests.guest_of``."""
    return guest_of(engine, mounted.vm_restore_point_id)


def unmount(engine: Engine, mounted: Row) -> None:
    """End a mount, whose restore session becomes a Success. Ending it twice is no error."""
    with engine.database.write() as connection:
        _end(engine, connection, mounted.session_id)


def tell(engine: Engine, session_id: UUID, message: str) -> None:
    """Note in the restore session of a mount what was done with it."""
    with engine.database.write() as connection:
        restore_sessions.add_event(connection, session_id, "info", message)


def end_forsaken(engine: Engine) -> None:
    """Close the restore sessions of mounts whose logon session has ended, and those that were cancelled."""
    with engine.database.read() as connection:
        if not mounts.to_end(connection):
            return
    with engine.database.write() as connection:
        for session in mounts.to_end(connection):
            asked = Cancelled("the mount was ended by request") if session.cancel_requested else None
            _end(engine, connection, session.id, None if asked is None else StepFailed.of(asked))


def reconcile(engine: Engine) -> None:
    """End the logon sessions that have idled for too long, if there are mounts, and what they leave."""
    with engine.database.read() as connection:
        mounted = mounts.any_open(connection)
    if mounted:
        with engine.database.write() as connection:
            logons.sweep(connection, engine.settings.em.logon_idle)
    end_forsaken(engine)


def _begin(
    connection: Connection,
    engine: Engine,
    logon: Logon,
    point: Row,
    caller: Caller,
    number: int | None = None,
) -> Row:
    session = restore_sessions.create(
        connection, point=point, spec=RestoreSpec(point.id), caller=caller, kind=RestoreKind.FILE_LEVEL
    )
    begun = restore_sessions.advance(connection, session.id, SessionState.WORKING)
    webhooks.tell(engine, connection, "restore", "started", begun)
    restore_sessions.enter_phase(connection, session.id, RestorePhase.MOUNTED)
    return mounts.create(connection, logon, point.id, session.id, number=number)


def _looked_into(engine: Engine, made: Row, caller: Caller) -> Row:
    """A new mount, which ends at once if there is nothing to be seen in it."""
    try:
        volumes = ", ".join(opened(engine, made).volumes)
    except Exception as error:
        with engine.database.write() as connection:
            _end(engine, connection, made.session_id, StepFailed.of(error))
        raise
    tell(engine, made.session_id, f"Mounted for {caller.account}: {volumes}")
    return made


def _end(engine: Engine, connection: Connection, session_id: UUID, failure: StepFailed | None = None) -> None:
    mounts.remove(connection, session_id)
    if restore_sessions.get(connection, session_id).state is SessionState.STOPPED:
        return
    restore_sessions.advance(
        connection,
        session_id,
        SessionState.STOPPED,
        result=SessionResult.SUCCESS if failure is None else SessionResult.FAILED,
        reason_code=None if failure is None else failure.code,
        reason=None if failure is None else failure.message,
        hint=None if failure is None else failure.hint,
    )
    told = "The mount ended." if failure is None else f"The mount ended with Failed: {failure.message}"
    level = "info" if failure is None else "error"
    restore_sessions.add_event(connection, session_id, level, told)
    evidence.record(engine, connection, session_id)
    webhooks.tell(engine, connection, "restore", "stopped", restore_sessions.get(connection, session_id))


class _Mounts:
    """What the engine does for mounts at its start and with every heartbeat."""

    def reconcile(self, engine: Engine) -> None:
        reconcile(engine)


Engine.register(_Mounts())
