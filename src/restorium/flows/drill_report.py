"""What drills found, put together for an auditor, as far as the reader may see."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.catalog import drill_runs, drill_vms, protection, servers
from restorium.catalog.listing import AllOf, Compare, Filter, Row, Visibility
from restorium.flows.engine import Engine
from restorium.reports import DrillReport, DrillRow
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.sessions import SessionResult


def of_time(engine: Engine, visible: Visibility, start: datetime | None, end: datetime | None) -> DrillReport:
    """All drills that began from ``start`` on and before ``end``; without bounds where those are None."""
    bounds = [Compare("started_at", "!=", None)]
    if start is not None:
        bounds.append(Compare("started_at", ">=", start))
    if end is not None:
        bounds.append(Compare("started_at", "<", end))
    return _report(engine, visible, "Restore drills", AllOf(bounds), start, end)


def of_run(engine: Engine, visible: Visibility, run_id: UUID) -> DrillReport:
    """One run. Raises NotFound, also for what is not ``visible``."""
    with engine.database.read() as connection:
        run = drill_runs.listing.one(connection, run_id, visible)
    if run is None:
        raise NotFound(f"there is no drill run {run_id}")
    where = AllOf([Compare("run_id", "==", run_id), Compare("started_at", "!=", None)])
    return _report(engine, visible, f"Restore drill {run.name}", where, run.created_at, run.ended_at)


def _report(
    engine: Engine,
    visible: Visibility,
    title: str,
    where: Filter,
    start: datetime | None,
    end: datetime | None,
) -> DrillReport:
    with engine.database.read() as connection:
        rows = drill_vms.listing.page(
            connection, where=where, order=[("started_at", False), ("position", False)], visible=visible
        )
        known = protection.of_vms(connection, visible)
        server = servers.get(connection).name
    drilled = {(row.host_id, row.vm_ref) for row in rows}
    passed = {(row.host_id, row.vm_ref) for row in rows if row.result is SessionResult.SUCCESS}
    return DrillReport(
        title=title,
        server=server,
        made_at=engine.clock.now(),
        start=start,
        end=end,
        vms=len(known),
        drilled=len(drilled),
        passed=len(passed),
        never=[vm.vm_name for vm in known if (vm.host_id, vm.vm_ref) not in drilled],
        rows=[_row(row) for row in rows],
    )


def _row(row: Row) -> DrillRow:
    return DrillRow(
        vm=row.vm_name,
        vm_ref=row.vm_ref,
        point=row.point_name,
        point_created_at=row.point_created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        plan=row.plan_name,
        requested_by=row.requested_by,
        recovery_ms=row.recovery_ms,
        objective_seconds=row.objective_seconds,
        merkle_root=row.merkle_root,
        result=row.result,
        reason=row.reason,
        outcomes=drill_vms.outcomes_of(row),
        evidence=None if row.session_id is None else str(row.session_id),
    )
