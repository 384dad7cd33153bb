"""The VMs of drills: whose turn it is, how far each is, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Listing, Row, Visibility, columns_of
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import drill_runs, drill_vms
from restorium.catalog.visibility import in_scope
from restorium.vocabulary.drills import CheckOutcome
from restorium.vocabulary.errors import Cancelled
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState

_KIND = "VM in a drill"
_LONGEST_NAME = 80


def by_turn(connection: Connection, plan_id: UUID, vms: Sequence[JobVm]) -> list[JobVm]:
    """The VMs in the order of their turn: first those that the plan has never drilled, then the longest ago.

    What failed was drilled, and waits like the others: else a few that always fail would keep all others from their
    turn. What was cancelled was not drilled.
    """
    found = connection.execute(
        sa.select(drill_vms.c.host_id, drill_vms.c.vm_ref, sa.func.max(drill_vms.c.started_at).label("at"))
        .join(drill_runs, drill_runs.c.id == drill_vms.c.run_id)
        .where(
            drill_runs.c.plan_id == plan_id,
            drill_vms.c.state == TaskSessionState.COMPLETED,
            sa.func.coalesce(drill_vms.c.reason_code, "") != Cancelled.code,
        )
        .group_by(drill_vms.c.host_id, drill_vms.c.vm_ref)
    )
    last = {(row.host_id, row.vm_ref): row.at for row in found}

    def turn(vm: JobVm) -> tuple[Any, ...]:
        at = last.get((vm.host_id, vm.vm_ref))
        return (at is not None, at, vm.vm_name.casefold(), vm.vm_ref, vm.host_id)

    return sorted(vms, key=turn)


def add(connection: Connection, run_id: UUID, vms: Iterable[JobVm]) -> None:
    """Note the VMs of a run, in their order."""
    for position, vm in enumerate(vms):
        vm_id = new_id(connection)
        connection.execute(
            sa.insert(drill_vms).values(
                id=vm_id,
                run_id=run_id,
                position=position,
                host_id=vm.host_id,
                vm_ref=vm.vm_ref,
                vm_name=vm.vm_name,
                copy_name=f"drill-{_plain(vm.vm_name)}-{vm_id.hex[:8]}",
                state=TaskSessionState.PENDING,
                result=SessionResult.NONE,
                outcomes=[],
            )
        )


def get(connection: Connection, vm_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, drill_vms, _KIND, vm_id)


def of_run(connection: Connection, run_id: UUID) -> Sequence[Row]:
    """The VMs of a run, in its order."""
    return connection.execute(
        sa.select(drill_vms).where(drill_vms.c.run_id == run_id).order_by(drill_vms.c.position)
    ).all()


def begin(connection: Connection, vm_id: UUID) -> None:
    """A worker has come to a VM; again changes nothing."""
    connection.execute(
        sa.update(drill_vms)
        .where(drill_vms.c.id == vm_id, drill_vms.c.started_at.is_(None))
        .values(state=TaskSessionState.IN_PROGRESS, started_at=now(connection))
    )


def choose_point(connection: Connection, vm_id: UUID, point: Row) -> None:
    """Note what is restored. The first choice stays."""
    connection.execute(
        sa.update(drill_vms)
        .where(drill_vms.c.id == vm_id, drill_vms.c.vm_restore_point_id.is_(None))
        .values(vm_restore_point_id=point.id, point_name=point.name, point_created_at=point.created_at)
    )


def record_session(connection: Connection, vm_id: UUID, session_id: UUID) -> None:
    """Note the restore session."""
    _set(connection, vm_id, session_id=session_id)


def record_restore(connection: Connection, vm_id: UUID, restore_ms: int) -> None:
    """Note how long the restore took."""
    _set(connection, vm_id, restore_ms=restore_ms)


def record_checks(
    connection: Connection, vm_id: UUID, outcomes: Sequence[CheckOutcome], boot_ms: int | None
) -> None:
    """Note what the checks came to, and how long the boot took, if one was seen to its end."""
    _set(connection, vm_id, outcomes=msgspec.to_builtins(list(outcomes)), boot_ms=boot_ms)


def record_removal(connection: Connection, vm_id: UUID) -> None:
    """Note that nothing of the VM is in the sandbox any more."""
    _set(connection, vm_id, copy_removed_at=now(connection))


def end(
    connection: Connection,
    vm_id: UUID,
    result: SessionResult,
    *,
    reason_code: str | None = None,
    reason: str | None = None,
    hint: str | None = None,
    recovery_ms: int | None = None,
    merkle_root: str | None = None,
) -> None:
    """Close a VM, unless it is closed already."""
    connection.execute(
        sa.update(drill_vms)
        .where(drill_vms.c.id == vm_id, drill_vms.c.state != TaskSessionState.COMPLETED)
        .values(
            state=TaskSessionState.COMPLETED,
            result=result,
            ended_at=now(connection),
            reason_code=reason_code,
            reason=reason,
            hint=hint,
            recovery_ms=recovery_ms,
            merkle_root=merkle_root,
        )
    )


def outcomes_of(row: Row) -> list[CheckOutcome]:
    """What the checks of a VM came to."""
    return msgspec.convert(row.outcomes, list[CheckOutcome])


def left_over(connection: Connection) -> Sequence[Row]:
    """VMs of runs that have stopped which may still be in the sandbox, with ``sandbox_host_id``."""
    return connection.execute(
        sa.select(drill_vms, drill_runs.c.sandbox_host_id)
        .join(drill_runs, drill_runs.c.id == drill_vms.c.run_id)
        .where(
            drill_runs.c.state == SessionState.STOPPED,
            drill_vms.c.session_id.is_not(None),
            drill_vms.c.copy_removed_at.is_(None),
        )
        .order_by(drill_vms.c.started_at)
    ).all()


def tallies(
    connection: Connection, run_ids: Sequence[UUID], visible: Visibility
) -> dict[UUID, dict[SessionResult, int]]:
    """How many of the VMs of each run, as far as ``visible``, came to which result."""
    statement = (
        sa.select(drill_vms.c.run_id, drill_vms.c.result, sa.func.count().label("number"))
        .where(drill_vms.c.run_id.in_(run_ids))
        .group_by(drill_vms.c.run_id, drill_vms.c.result)
    )
    if visible.account_id is not None:
        statement = statement.where(in_scope(drill_vms.c.host_id, drill_vms.c.vm_ref))
    found: dict[UUID, dict[SessionResult, int]] = {run_id: {} for run_id in run_ids}
    for row in connection.execute(statement, visible.parameters):
        found[row.run_id][row.result] = row.number
    return found


def _set(connection: Connection, vm_id: UUID, **values: object) -> None:
    connection.execute(sa.update(drill_vms).where(drill_vms.c.id == vm_id).values(values))


def _plain(name: str) -> str:
    """What of a VM's name can be part of any host's names."""
    return "".join(each if each.isalnum() and each.isascii() else "-" for each in name)[:_LONGEST_NAME]


listing = Listing(
    columns_of(drill_vms)
    | {
        "run_name": drill_runs.c.name,
        "run_created_at": drill_runs.c.created_at,
        "plan_id": drill_runs.c.plan_id,
        "plan_name": drill_runs.c.plan_name,
        "objective_seconds": drill_runs.c.objective_seconds,
        "requested_by": drill_runs.c.requested_by,
    },
    drill_vms.join(drill_runs, drill_runs.c.id == drill_vms.c.run_id),
    cut=in_scope(drill_vms.c.host_id, drill_vms.c.vm_ref),
)
