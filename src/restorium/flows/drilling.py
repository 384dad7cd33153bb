"""The steps of one drill. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from restorium.catalog import drill_runs, drill_vms, protection, restore_sessions
from restorium.catalog import evidence as evidence_rows
from restorium.catalog.drill_plans import checks_of
from restorium.catalog.listing import Row
from restorium.flows import restore
from restorium.flows.control import Control, is_cancelled
from restorium.flows.drill_checks import check_all
from restorium.flows.durable import Interrupted, StepFailed
from restorium.flows.engine import Engine
from restorium.vocabulary.drills import CheckResult, verdict
from restorium.vocabulary.errors import (
    DrillFailed,
    EvidenceRefused,
    IllegalTransition,
    NotFound,
    RestoriumError,
)
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState

_POLL_SECONDS = 0.2
_MILLISECOND = timedelta(milliseconds=1)


class Drilling:
    """One run at work, by who has the ``hold`` of it.

    All but ``vm_ids`` is of one VM, by its id in the run; called inside steps of the flow.
    """

    def __init__(self, engine: Engine, run_id: UUID, hold: str) -> None:
        self._engine = engine
        self._run_id = run_id
        self._hold = hold

    def vm_ids(self) -> list[str]:
        """The VMs of the run, in its order."""
        with self._engine.database.read() as connection:
            return [str(vm.id) for vm in drill_vms.of_run(connection, self._run_id)]

    def request(self, vm_id: UUID) -> str:
        """Ask for the restore of the VM's newest restore point; gives the id of its session, the same each time.

        Raises NotFound if there is no restore point.
        """
        self._control().check()
        with self._engine.database.write() as connection:
            drill_vms.begin(connection, vm_id)
            vm = drill_vms.get(connection, vm_id)
            if vm.vm_restore_point_id is None:
                point = protection.newest_point(connection, vm.host_id, vm.vm_ref)
                if point is None:
                    raise NotFound(
                        f"there is no restore point of {vm.vm_name}", hint="Run a job that backs it up."
                    )
                drill_vms.choose_point(connection, vm_id, point)
                vm = drill_vms.get(connection, vm_id)
        spec = RestoreSpec(
            vm.vm_restore_point_id,
            keep_original=True,
            new_name=vm.copy_name,
            host_id=self._run.sandbox_host_id,
        )
        caller = Caller(f"the drill plan {self._run.plan_name}")
        session_id = restore.start(self._engine, spec, caller, idempotency_key=str(vm_id))
        with self._engine.database.write() as connection:
            drill_vms.record_session(connection, vm_id, session_id)
        self._tell(f"Restores {vm.point_name} into the sandbox as {vm.copy_name}: session {session_id}.")
        return str(session_id)

    def await_restore(self, vm_id: UUID) -> dict[str, str] | None:
        """Wait for the end of the restore, which a cancel of the run cancels too.

        Gives what went wrong with it, as code, message and hint; None if nothing did.
        """
        session = self._stopped(vm_id)
        if session.result is not SessionResult.SUCCESS:
            reason = session.reason or f"the restore ended with {session.result}"
            return {
                "code": session.reason_code or RestoriumError.code,
                "message": reason,
                "hint": session.hint or "",
            }
        with self._engine.database.write() as connection:
            took = (session.ended_at - session.created_at) // _MILLISECOND
            drill_vms.record_restore(connection, vm_id, took)
        return None

    def check(self, vm_id: UUID) -> None:
        """Hold the checks against the restored disks, and note what they come to."""
        control = self._control()
        control.check()
        with self._engine.database.read() as connection:
            vm = drill_vms.get(connection, vm_id)
            session = restore_sessions.get(connection, vm.session_id)
            disks = restore_sessions.disks(connection, vm.session_id)
        host = self._engine.host(self._run.sandbox_host_id)
        outcomes, boot_ms = check_all(
            self._engine, control, host, session.restored_ref, disks, checks_of(self._run)
        )
        with self._engine.database.write() as connection:
            drill_vms.record_checks(connection, vm_id, outcomes, boot_ms)
        for outcome in outcomes:
            level = "info" if outcome.result is CheckResult.PASSED else "warning"
            subject = "" if outcome.subject is None else f" {outcome.subject}"
            self._tell(f"{vm.vm_name}: {outcome.kind}{subject} {outcome.result}: {outcome.detail}", level)

    def remove(self, vm_id: UUID) -> None:
        """Remove the VM from the sandbox, whatever became of its restore. Raises HostError if it stays."""
        with self._engine.database.read() as connection:
            vm = drill_vms.get(connection, vm_id)
        if vm.session_id is None or vm.copy_removed_at is not None:
            return
        self._stopped(vm_id, cancel=True)
        remove_copy(self._engine, vm, self._run.sandbox_host_id)
        self._tell(f"Removed {vm.copy_name} from the sandbox.")

    def close(self, vm_id: UUID, failure: StepFailed | None, left: StepFailed | None) -> str:
        """Give the VM its result; gives that. failure: why it was not checked. left: why it is still in the sandbox."""
        with self._engine.database.write() as connection:
            vm = drill_vms.get(connection, vm_id)
            if vm.state is not TaskSessionState.COMPLETED:
                document = None
                if vm.session_id is not None:
                    document = evidence_rows.find(connection, vm.session_id)
                ending = self._ending(vm, failure, left, document)
                drill_vms.end(connection, vm_id, **ending)
                level = "info" if ending["result"] is SessionResult.SUCCESS else "error"
                told = f": {ending['reason']}" if ending["reason"] else ""
                drill_runs.add_event(
                    connection, self._run_id, level, f"{vm.vm_name}: {ending['result']}{told}"
                )
                vm = drill_vms.get(connection, vm_id)
        return str(vm.result)

    def _ending(
        self, vm: Row, failure: StepFailed | None, left: StepFailed | None, document: str | None
    ) -> dict[str, Any]:
        root = None if document is None else json.loads(document)["record"]["merkle_root"]
        if failure is not None:
            return _ended(SessionResult.FAILED, failure) | {"merkle_root": root, "recovery_ms": None}
        wants_boot = checks_of(self._run).boot is not None
        recovery = vm.restore_ms
        if wants_boot:
            recovery = None if vm.boot_ms is None else vm.restore_ms + vm.boot_ms
        wrong = verdict(drill_vms.outcomes_of(vm), recovery, self._run.objective_seconds)
        found = {"merkle_root": root, "recovery_ms": recovery}
        if isinstance(wrong, DrillFailed):
            return _ended(SessionResult.FAILED, StepFailed.of(wrong)) | found
        if wrong is None and document is None:
            wrong = EvidenceRefused(
                "the restore has no signed record", hint="Its session's events say why there is none."
            )
        troubles = [] if wrong is None else [StepFailed.of(wrong)]
        if left is not None:
            told = f"it could not be removed from the sandbox: {left.message}"
            troubles.append(StepFailed(left.code, told, left.hint))
        if not troubles:
            return _ended(SessionResult.SUCCESS, None) | found
        return _ended(SessionResult.WARNING, troubles[0]) | found

    def _stopped(self, vm_id: UUID, *, cancel: bool = False) -> Row:
        """The restore session once it is Stopped. Cancelled if that was asked of the run, or ``cancel``."""
        with self._engine.database.read() as connection:
            session_id = drill_vms.get(connection, vm_id).session_id
        asked = False
        while True:
            with self._engine.database.read() as connection:
                session = restore_sessions.get(connection, session_id)
            cancel = self._is_cancelled() or cancel
            if session.state is SessionState.STOPPED:
                return session
            if cancel and not asked:
                asked = True
                self._cancel(session_id)
                continue
            if self._engine.stopping.wait(_POLL_SECONDS):
                raise Interrupted

    def _cancel(self, session_id: UUID) -> None:
        try:
            restore.cancel(self._engine, session_id)
        except IllegalTransition:
            return  # it has ended meanwhile

    @cached_property
    def _run(self) -> Row:
        """What of it never changes."""
        with self._engine.database.read() as connection:
            return drill_runs.get(connection, self._run_id)

    def _tell(self, message: str, level: str = "info") -> None:
        with self._engine.database.write() as connection:
            drill_runs.add_event(connection, self._run_id, level, message)

    def _is_cancelled(self) -> bool:
        return is_cancelled(self._engine.database, drill_runs, self._run_id, self._hold)

    def _control(self) -> Control:
        return Control(self._engine, self._is_cancelled)


def _ended(result: SessionResult, reason: StepFailed | None) -> dict[str, Any]:
    if reason is None:
        return {"result": result, "reason_code": None, "reason": None, "hint": None}
    return {"result": result, "reason_code": reason.code, "reason": reason.message, "hint": reason.hint}


def remove_copy(engine: Engine, vm: Row, sandbox_host_id: UUID) -> None:
    """Remove what a restore that has stopped made in the sandbox, and note that. vm: a row of drill_vms."""
    engine.host(sandbox_host_id).remove_restored(vm.copy_name, str(vm.session_id))
    with engine.database.write() as connection:
        drill_vms.record_removal(connection, vm.id)
