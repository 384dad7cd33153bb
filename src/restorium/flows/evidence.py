"""Evidence of restores: signed in the transaction that stops a session, so that none is without it and none has two.

The key is made when it is first needed, its secret sealed like a repository's. Without the master key that sealed it
a session still stops, and its events say that it has no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium import __version__
from restorium.catalog import evidence as rows
from restorium.catalog import hosts, points, repositories, restore_sessions, servers
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.surroundings import new_id
from restorium.evidence import Record, SigningKey, sign
from restorium.evidence.record import (
    Digests,
    Disk,
    Event,
    Named,
    Point,
    Reason,
    Server,
    Session,
    Target,
    merkle_root,
)
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import EvidenceRefused, NotFound, WrongKey
from restorium.vocabulary.sessions import RestoreKind, SessionState

_MILLISECOND = timedelta(milliseconds=1)


def record(engine: Engine, connection: Connection, session_id: UUID) -> None:
    """Make and keep the evidence of a session that this transaction has stopped."""
    try:
        key = _signing_key(engine, connection)
        document = sign(_record(connection, session_id, key.public.id), key)
    except (WrongKey, EvidenceRefused) as error:
        told = f"There is no evidence of this restore: {error.message}. {error.hint}"
        restore_sessions.add_event(connection, session_id, "error", told)
        return
    rows.put(connection, session_id, document)


def document_of(engine: Engine, session_id: UUID, visible: Visibility) -> str:
    """The evidence of a restore session, as it was signed. Raises NotFound, also for a session not ``visible``."""
    with engine.database.read() as connection:
        session = restore_sessions.listing.one(connection, session_id, visible)
        if session is None:
            raise NotFound(f"there is no restore session {session_id}")
        document = rows.find(connection, session_id)
    if document is None:
        ended = session.state is SessionState.STOPPED
        hint = "Its events say why." if ended else "Evidence is made when the restore ends."
        raise NotFound(f"there is no evidence of the restore session {session_id}", hint=hint)
    return document


def ensure_key(engine: Engine) -> None:
    """Make the key that signs, unless there is one."""
    with engine.database.read() as connection:
        if rows.current_key(connection) is not None:
            return
    with engine.database.write() as connection:
        _current_key(engine, connection)


def keys(engine: Engine) -> Sequence[Row]:
    """All keys that ever signed, the one that does first."""
    ensure_key(engine)
    with engine.database.read() as connection:
        return rows.keys(connection)


def rotate(engine: Engine) -> Row:
    """Sign with a new key from now on; gives it. What older ones signed stays as it is."""
    with engine.database.write() as connection:
        rows.hold_keys(connection)
        return _add_key(engine, connection, SigningKey.generate())


def _signing_key(engine: Engine, connection: Connection) -> SigningKey:
    """Raises WrongKey if the master key is not the one that sealed it."""
    row = _current_key(engine, connection)
    return SigningKey(engine.secrets.open(row.id, row.secret))


def _current_key(engine: Engine, connection: Connection) -> Row:
    found = rows.current_key(connection)
    if found is None:
        rows.hold_keys(connection)
        found = rows.current_key(connection) or _add_key(engine, connection, SigningKey.generate())
    return found


def _add_key(engine: Engine, connection: Connection, key: SigningKey) -> Row:
    key_id = new_id(connection)
    return rows.add_key(connection, key_id, key.public.raw, engine.secrets.seal(key_id, key.secret))


def _record(connection: Connection, session_id: UUID, key_id: str) -> Record:
    session = restore_sessions.get(connection, session_id)
    server = servers.get(connection)
    disks = [_disk(disk) for disk in restore_sessions.disks(connection, session_id)]
    reason = None
    if session.reason_code is not None:
        reason = Reason(code=session.reason_code, message=session.reason or "", hint=session.hint or "")
    return Record(
        key=key_id,
        server=Server(id=server.id, name=server.name, version=__version__),
        session=Session(
            id=session.id,
            name=session.name,
            kind=session.job_type,
            requested_by=session.requested_by,
            requested_from=session.requested_from,
            created_at=session.created_at,
            ended_at=session.ended_at,
            duration_ms=max(0, (session.ended_at - session.created_at) // _MILLISECOND),
        ),
        point=_point(connection, session),
        target=_target(connection, session) if session.job_type is RestoreKind.VM else None,
        result=session.result,
        reason=reason,
        digests=Digests(),
        disks=disks,
        merkle_root=merkle_root(disks),
        events=[
            Event(at=event.at, level=event.level, message=event.message)
            for event in restore_sessions.events(connection, session_id)
        ],
    )


def _disk(row: Row) -> Disk:
    return Disk(
        key=row.disk_key,
        size=row.size,
        data_bytes=row.planned_bytes,
        result=row.result,
        reason=row.reason,
        digest=row.digest,
    )


def _point(connection: Connection, session: Row) -> Point:
    row, repository = None, None
    if session.vm_restore_point_id is not None:
        row = points.vm_listing.one(connection, session.vm_restore_point_id, Visibility.everything())
    if row is not None:
        repository = repositories.get(connection, row.repository_id)
    return Point(
        id=session.vm_restore_point_id,
        name=session.vm_restore_point_name,
        vm_name=session.vm_name,
        vm_ref=session.vm_ref,
        created_at=None if row is None else row.created_at,
        repository=None if repository is None else Named(id=repository.id, name=repository.name),
        manifest=None if row is None else row.vault_point,
    )


def _target(connection: Connection, session: Row) -> Target:
    spec = restore_sessions.spec_of(session)
    host_id = spec.host_id or session.host_id
    try:
        host_name = hosts.get(connection, host_id).name
    except NotFound:
        host_name = None
    return Target(
        host_id=host_id,
        host_name=host_name,
        keep_original=spec.keep_original,
        new_name=spec.new_name,
        quick_rollback=spec.quick_rollback,
        power_on=spec.power_on,
        restored_ref=session.restored_ref,
    )
