"""Restoring a VM: asking for it, stopping it, and the course of it.

Over the original or beside it, the VM is written under a temporary name, read back, and only then given its
final name; until then the original is untouched. A quick rollback is a restore over the original: it ends in
the same bytes, and writing all of them is the way that needs no trust in what the original's disks hold now. An
instant restore (flows/instant.py) runs the VM first and gives it its disks while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import hosts, points, restore_sessions
from restorium.catalog.listing import Row, Visibility
from restorium.flows import evidence, making
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.instant import InstantRestoring
from restorium.flows.restoring import Restoring
from restorium.flows.sessions import Outcome, SessionFlows
from restorium.hosts import kind_of
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState

Work = TypeVar("Work", bound=Restoring)


def start(engine: Engine, spec: RestoreSpec, caller: Caller, *, idempotency_key: str | None = None) -> UUID:
    """Ask for a restore; gives the id of its session, at once. The restore itself outlives the process.

    With an idempotency key that the caller has used already, the session of that time. Raises NotFound for the restore
    point or the host, InvalidInput for a new name without keep_original, Unsupported for a placement or an instant
    restore that the host does not offer, Conflict for a key used otherwise.
    """
    with engine.database.write() as connection:
        point = asked_for(connection, spec)
        session = restore_sessions.create(
            connection, point=point, spec=spec, caller=caller, idempotency_key=idempotency_key
        )
    return _sessions.begin(engine, session)


def start_all(engine: Engine, specs: Sequence[RestoreSpec], caller: Caller) -> list[UUID]:
    """Ask for several restores, for all of them or for none; gives the ids of their sessions. Raises as ``start``."""
    with engine.database.write() as connection:
        sessions = [
            restore_sessions.create(connection, point=asked_for(connection, spec), spec=spec, caller=caller)
            for spec in specs
        ]
    return [_sessions.begin(engine, session) for session in sessions]


def asked_for(connection: Connection, spec: RestoreSpec) -> Row:
    """The restore point, if what is asked for makes sense. Raises as ``start`` does."""
    if spec.new_name is not None and not spec.keep_original:
        raise InvalidInput(
            f"a VM restored over the original cannot be named {spec.new_name!r}",
            hint="Keep the original to restore beside it under a new name.",
        )
    point = points.vm_listing.one(connection, spec.vm_restore_point_id, Visibility.everything())
    if point is None:
        raise NotFound(f"there is no restore point {spec.vm_restore_point_id}")
    if spec.host_id is not None:
        hosts.get(connection, spec.host_id)
    host_id = spec.host_id or point.host_id
    if spec.placement.chooses:
        check_places(connection, host_id)
    if spec.instant and not kind_of((host := hosts.get(connection, host_id)).kind).instant:
        raise Unsupported(f"the host {host.name} cannot run a VM from its restore point", hint=making.REMEDY)
    return point


def check_places(connection: Connection, host_id: UUID) -> None:
    """Raises Unsupported unless one can choose where on the host a restored VM goes, NotFound."""
    host = hosts.get(connection, host_id)
    if not kind_of(host.kind).places:
        raise Unsupported(
            f"the host {host.name} offers no choice of storage, networks or folder",
            hint="Leave them out, or restore to a host that has them.",
        )


def cancel(engine: Engine, session_id: UUID) -> None:
    """Ask a restore to stop; what it has written is removed and the original stays as it was.

    Raises NotFound, and IllegalTransition once the session is Stopped.
    """
    _sessions.cancel(engine, session_id)


def _carry_out(engine: Engine, session_id: UUID, hold: str) -> Outcome:
    whole = Restoring(engine, session_id, hold)
    if not engine.attempt(lambda: whole.spec).instant:
        return _bring_about(engine, whole, _restore)
    with InstantRestoring(engine, session_id, hold) as instant:
        return _bring_about(engine, instant, _run_at_once)


def _bring_about(engine: Engine, work: Work, course: Callable[[Work], None]) -> Outcome:
    """Go through a course of steps, or take back what it made."""
    try:
        course(work)
    except Exception as error:  # noqa: BLE001  whatever it was, what is half written goes
        failure = error if isinstance(error, StepFailed) else StepFailed.of(error)
        failure, stands = work.step_abandon(failure)
        if not stands:
            raise failure from None
    return _outcome(engine, work)


def _restore(work: Restoring) -> None:
    work.step_name()
    work.step_preflight()
    work.step_create_target()
    for disk in work.whole:
        work.step_copy(disk)
    for disk in work.whole:
        work.step_verify(disk)
    work.step_set_aside()
    work.step_finalise()


def _run_at_once(work: InstantRestoring) -> None:
    work.step_name()
    work.step_preflight()
    work.step_whole()
    work.step_start()
    work.step_move()
    work.step_finalise()


def _outcome(engine: Engine, work: Restoring) -> Outcome:
    """Of a VM that stands. A Warning's reason names the disks that were lost, or says that nothing was started."""
    spec = engine.attempt(lambda: work.spec)
    if work.failures:
        failure = next(iter(work.failures.values()))
        lost = "; ".join(each.message for each in work.failures.values())
        told = f"{len(work.whole)} of {len(work.disks)} disks are restored, {work.place}: {lost}"
        return Outcome(SessionResult.WARNING, failure.code, told, failure.hint)
    refusal = work.step_power_on() if spec.power_on and not spec.instant else None
    if refusal is not None:
        told = f"the VM is restored but not powered on: {refusal.message}"
        return Outcome(SessionResult.WARNING, refusal.code, told, refusal.hint)
    return Outcome()


def _repository_of(connection: Connection, session: Row) -> UUID:
    point = None
    if session.vm_restore_point_id is not None:
        point = points.vm_listing.one(connection, session.vm_restore_point_id, Visibility.everything())
    # Without its point the restore cannot but fail; where it waits for that does not matter.
    owner: UUID = session.id if point is None else point.repository_id
    return owner


def _stop(connection: Connection, session_id: UUID, outcome: Outcome) -> None:
    restore_sessions.advance(
        connection,
        session_id,
        SessionState.STOPPED,
        result=outcome.result,
        reason_code=outcome.reason_code,
        reason=outcome.reason,
        hint=outcome.hint,
    )


_sessions = SessionFlows(
    "restore",
    restore_sessions,
    told_as="restore",
    repository_of=_repository_of,
    carry_out=_carry_out,
    stop=_stop,
    stopped=evidence.record,
)
