"""Running a job: asking for it, stopping it, and the course of it.

Each VM is a step of its own, and one that fails does not take the others with it. The restore point holds
the VMs that succeeded, also those that a cancel left behind, and is recorded in one transaction once all are
through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import job_sessions, jobs, manifests, repositories, schedules
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row
from restorium.flows import retention
from restorium.flows.backing_up import BackingUp, plan
from restorium.flows.capturing import Captured
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.inventory import known
from restorium.flows.sessions import CANCELLED, Outcome, SessionFlows
from restorium.vocabulary.errors import Conflict
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.retention import KeepFor
from restorium.vocabulary.sessions import SessionResult, SessionState

SCHEDULE = Caller("the schedule")
"""Who asks for the runs that no person asks for."""


def start(engine: Engine, job_id: UUID, caller: Caller, *, retry: bool = False) -> UUID:
    """Run a job now; gives the id of its session, at once. The run itself outlives the process.

    retry: only the VMs that failed in the last run. Raises NotFound, and Conflict while the job runs or if there is
    nothing to retry.
    """
    with engine.database.write() as connection:
        session = job_sessions.create(connection, job_id, caller, retry=retry)
    return _sessions.begin(engine, session)


def start_due(engine: Engine, job: Row) -> UUID | None:
    """Make the run that ``schedules.due`` told of; gives the id of its session.

    None if somebody else has made it, if the job still runs, which its session then tells, or if a retry has nothing
    left to do.
    """
    with engine.database.write() as connection:
        attempt = schedules.claim(connection, job)
        if attempt is None:
            return None
        unfinished = job_sessions.running(connection, job.id)
        try:
            session = job_sessions.create(connection, job.id, SCHEDULE, retry=attempt > 0, attempt=attempt)
        except Conflict as refusal:
            schedule = schedules.of(job)
            if unfinished is not None and schedule is not None and schedule.continuous is None:
                told = f"The run due at {job.next_run:%Y-%m-%d %H:%M} UTC was left out: {refusal.message}."
                job_sessions.add_event(connection, unfinished.id, "warning", told)
            return None
    return _sessions.begin(engine, session)


def start_quick(engine: Engine, host_id: UUID, vm_ref: str, caller: Caller) -> UUID:
    """Add a point of one VM to what a job has of it; gives the id of the session.

    Of several jobs, to that with the newest point. Raises NotFound if no job includes the VM, and Conflict if none has
    backed it up yet or that job is running.
    """
    with engine.database.write() as connection:
        job_id = jobs.latest_of(connection, host_id, vm_ref)
        session = job_sessions.create_quick(connection, job_id, host_id, vm_ref, caller)
    return _sessions.begin(engine, session)


def start_zip(
    engine: Engine,
    repository_id: UUID,
    vms: Sequence[tuple[UUID, str]],
    caller: Caller,
    *,
    keep: KeepFor = KeepFor.NEVER,
    notes: Sequence[str] = (),
) -> UUID:
    """Back up VMs whole, once and for no job; gives the id of the session.

    vms: each a host's id and that host's own name of the VM. keep: after which the backup is removed.
    notes: what its events are to say besides.
    Raises InvalidInput for no VM or one that is named twice, NotFound, VmNotFound, HostError.
    """
    with engine.database.read() as connection:
        repositories.get(connection, repository_id)
    named = known(engine, vms)
    with engine.database.write() as connection:
        session = job_sessions.create_zip(
            connection, repository_id, named, caller, delete_after=keep.until(engine.clock.now())
        )
        for note in notes:
            job_sessions.add_event(connection, session.id, "info", note)
    return _sessions.begin(engine, session)


def start_import(
    engine: Engine, repository_id: UUID, vm: JobVm, files: Sequence[str], caller: Caller
) -> UUID:
    """Back up image files as the disks of a VM, once and for no job; gives the id of the session."""
    with engine.database.write() as connection:
        session = job_sessions.create_import(connection, repository_id, vm, files, caller)
    return _sessions.begin(engine, session)


def cancel(engine: Engine, session_id: UUID) -> None:
    """Ask a run to stop. VMs that are through keep their restore point.

    Raises NotFound, and IllegalTransition once the session is Stopped.
    """
    _sessions.cancel(engine, session_id)


def _carry_out(engine: Engine, session_id: UUID, hold: str) -> Outcome:
    planned = engine.step("plan", lambda: plan(engine, session_id))
    work = BackingUp(engine, session_id, hold, planned)
    captured: list[Captured] = []
    failures: list[tuple[str, StepFailed]] = []
    for vm in work.vms:
        try:
            captured.append(engine.step(f"back up {vm.task_id}", partial(work.capture, vm)))
        except StepFailed as failure:
            failures.append((vm.name, failure))
            engine.step(f"give up {vm.task_id}", partial(work.give_up, vm, failure))
            if failure.code == CANCELLED:
                break
    point_id = engine.step("record", lambda: work.record(captured))
    engine.step("usage", work.record_usage)
    if point_id is not None:
        engine.step("retention", lambda: retention.apply(engine, session_id))
    return _outcome(failures, made=None if point_id is None else UUID(point_id))


def _outcome(failures: list[tuple[str, StepFailed]], *, made: UUID | None) -> Outcome:
    """Failed if nothing was made or the run was cancelled; the reason names each VM that failed."""
    if not failures:
        return Outcome(restore_point_id=made)
    first, last = failures[0][1], failures[-1][1]
    if last.code == CANCELLED:
        return replace(Outcome.failed(last), restore_point_id=made)
    result = SessionResult.FAILED if made is None else SessionResult.WARNING
    reason = "; ".join(f"{name}: {failure.message}" for name, failure in failures)
    return Outcome(result, first.code, reason, first.hint, made)


def _repository_of(_connection: Connection, session: Row) -> UUID:
    repository_id: UUID = session.repository_id
    return repository_id


def _stop(connection: Connection, session_id: UUID, outcome: Outcome) -> None:
    session = job_sessions.advance(
        connection,
        session_id,
        SessionState.STOPPED,
        result=outcome.result,
        reason_code=outcome.reason_code,
        reason=outcome.reason,
        hint=outcome.hint,
        restore_point_id=outcome.restore_point_id,
    )
    for task in job_sessions.tasks(connection, session_id):
        # Those that are through stay as they are; the others were never come to.
        job_sessions.end_task(
            connection, task.id, SessionResult.FAILED, reason_code=outcome.reason_code, reason=outcome.reason
        )
    manifests.release(connection, session_id)
    schedules.run_ended(connection, session)


_sessions = SessionFlows(
    "backup", job_sessions, told_as="job", repository_of=_repository_of, carry_out=_carry_out, stop=_stop
)
