"""Drills: asking for one, stopping it, and the course of it.

Each VM of a run is restored into the sandbox by a restore session of its own, checked there and removed, one after the
other. One that fails does not take the others with it. Whatever becomes of a run, what it has put into the sandbox is
removed: by the run itself, also after a crash, and else by the next heartbeat that can.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from restorium.catalog import drill_plans, drill_runs, drill_vms, restore_sessions, schedules
from restorium.catalog.listing import Row
from restorium.flows.drilling import Drilling, remove_copy
from restorium.flows.durable import Interrupted, StepFailed
from restorium.flows.engine import Engine
from restorium.flows.sessions import CANCELLED, Outcome, SessionFlows
from restorium.vocabulary.errors import NotFound, RestoriumError
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.sessions import SessionResult, SessionState

_log = structlog.get_logger(__name__)

SCHEDULE = Caller("the schedule")
"""Who asks for the runs that no person asks for."""
_TIDY_SECONDS = 60.0
_MOST_NAMED = 10


def start(engine: Engine, plan_id: UUID, caller: Caller) -> UUID:
    """Run a plan now; gives the id of the run, at once. The run itself outlives the process.

    Raises NotFound, and Conflict while the plan runs.
    """
    with engine.database.write() as connection:
        run = drill_runs.create(connection, plan_id, caller)
    return _sessions.begin(engine, run)


def start_due(engine: Engine, plan: Row) -> UUID | None:
    """Make the run that ``schedules.due`` told of; gives its id.

    None if somebody else has made it, or if the plan still runs, which that run then tells.
    """
    with engine.database.write() as connection:
        if not schedules.take(connection, drill_plans.TABLE, plan):
            return None
        unfinished = drill_runs.running(connection, plan.id)
        if unfinished is not None:
            told = (
                f"The run due at {plan.next_run:%Y-%m-%d %H:%M} UTC was left out, for this one still goes on."
            )
            drill_runs.add_event(connection, unfinished.id, "warning", told)
            return None
        run = drill_runs.create(connection, plan.id, SCHEDULE)
    return _sessions.begin(engine, run)


def cancel(engine: Engine, run_id: UUID) -> None:
    """Ask a run to stop; what it has put into the sandbox is removed. VMs that are through keep their results.

    Raises NotFound, and IllegalTransition once the run is Stopped.
    """
    _sessions.cancel(engine, run_id)


def _carry_out(engine: Engine, run_id: UUID, hold: str) -> Outcome:
    work = Drilling(engine, run_id, hold)
    results: list[SessionResult] = []
    for vm_id in map(UUID, engine.step("VMs", work.vm_ids)):
        failure = _restore_and_check(engine, work, vm_id)
        left = None
        try:
            engine.step(f"remove {vm_id}", partial(work.remove, vm_id))
        except StepFailed as failed:
            left = failed
        closing = partial(work.close, vm_id, failure, left)
        results.append(SessionResult(engine.step(f"close {vm_id}", closing)))
        if failure is not None and failure.code == CANCELLED:
            return Outcome.failed(failure)
    return engine.attempt(lambda: _outcome(engine, run_id, results))


def _restore_and_check(engine: Engine, work: Drilling, vm_id: UUID) -> StepFailed | None:
    """What kept the VM from being checked; None if it was."""
    try:
        engine.step(f"restore {vm_id}", partial(work.request, vm_id))
        wrong = engine.step(f"await {vm_id}", partial(work.await_restore, vm_id))
        if wrong is not None:
            return StepFailed(**wrong)
        engine.step(f"check {vm_id}", partial(work.check, vm_id))
    except StepFailed as failure:
        return failure
    return None


def _outcome(engine: Engine, run_id: UUID, results: list[SessionResult]) -> Outcome:
    """Failed if a VM failed; the reason names each that did not come to Success."""
    if not results:
        nothing = NotFound("the plan has no VM to drill", hint="Back VMs up, or name others in the plan.")
        return Outcome(SessionResult.WARNING, nothing.code, nothing.message, nothing.hint)
    if set(results) == {SessionResult.SUCCESS}:
        return Outcome()
    with engine.database.read() as connection:
        found = drill_vms.of_run(connection, run_id)
    wrong = [vm for vm in found if vm.result is not SessionResult.SUCCESS]
    failed = any(vm.result is SessionResult.FAILED for vm in wrong)
    wrong.sort(key=lambda vm: (vm.result is not SessionResult.FAILED, vm.position))
    said = [f"{vm.vm_name}: {vm.reason}" for vm in wrong[:_MOST_NAMED]]
    if len(wrong) > _MOST_NAMED:
        said.append(f"and {len(wrong) - _MOST_NAMED} more")
    result = SessionResult.FAILED if failed else SessionResult.WARNING
    return Outcome(result, wrong[0].reason_code, "; ".join(said), wrong[0].hint)


def _partition_of(_connection: Connection, run: Row) -> UUID:
    """The plan's own: a run waits for restores, which take the places of their repository."""
    partition: UUID = run.plan_id or run.id
    return partition


def _stop(connection: Connection, run_id: UUID, outcome: Outcome) -> None:
    drill_runs.advance(
        connection,
        run_id,
        SessionState.STOPPED,
        result=outcome.result,
        reason_code=outcome.reason_code,
        reason=outcome.reason,
        hint=outcome.hint,
    )
    for vm in drill_vms.of_run(connection, run_id):
        # Those that are through stay as they are; the others were never come to.
        drill_vms.end(
            connection,
            vm.id,
            SessionResult.FAILED,
            reason_code=outcome.reason_code,
            reason=outcome.reason,
            hint=outcome.hint,
        )


_sessions = SessionFlows(
    "drill", drill_runs, told_as="drill", repository_of=_partition_of, carry_out=_carry_out, stop=_stop
)


class _Sandboxes:
    """Removes, with a heartbeat each minute, what runs that are over could not.

    In a thread of its own: a sandbox that takes its time would keep the heart from beating.
    """

    def __init__(self) -> None:
        self._next = 0.0
        self._running: threading.Thread | None = None

    def reconcile(self, engine: Engine) -> None:
        at_work = self._running is not None and self._running.is_alive()
        if at_work or engine.clock.monotonic() < self._next:
            return
        self._next = engine.clock.monotonic() + _TIDY_SECONDS
        with engine.database.read() as connection:
            left = drill_vms.left_over(connection)
        if left:
            self._running = threading.Thread(target=_tidy, args=(engine, left), name="sandboxes", daemon=True)
            self._running.start()


def _tidy(engine: Engine, left: Sequence[Row]) -> None:
    for vm in left:
        with suppress(Interrupted), engine.running():
            try:
                with engine.database.read() as connection:
                    session = restore_sessions.get(connection, vm.session_id)
                if session.state is SessionState.STOPPED:
                    remove_copy(engine, vm, vm.sandbox_host_id)
            except Exception as error:  # noqa: BLE001  nobody waits for this thread
                told = error.message if isinstance(error, RestoriumError) else repr(error)
                _log.warning("a drilled VM stays in the sandbox", vm=vm.copy_name, error=told)


_sandboxes = _Sandboxes()
Engine.register(_sandboxes)
