"""Drills: plans of what is restored into a sandbox and checked there, their runs, and reports of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection
from starlette.responses import Response

from restorium.catalog import drill_plans, drill_runs, drill_vms, jobs
from restorium.catalog.listing import Compare, Row
from restorium.catalog.visibility import may_see
from restorium.flows import drill_plans as plan_flows
from restorium.flows import drill_report, drills
from restorium.native.exchange import show
from restorium.native.lists import BY_NAME, Choice, guid, one_of, page_of, period, text
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.reasons import Event, Reason, reason_of
from restorium.native.roles import ADMINISTRATORS, EVERYONE, MONITORS, RESTORERS
from restorium.native.schedules import Schedule
from restorium.native.schedules import shown as shown_schedule
from restorium.reports import DrillReport, as_csv, as_html
from restorium.vocabulary import drills as values
from restorium.vocabulary.errors import AccessDenied, InvalidInput, NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState

_READERS = MONITORS | RESTORERS


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    pass


class DrillVm(_Part):
    """``vm_ref`` is the host's own name of the VM."""

    host_id: UUID
    vm_ref: str


class FileCheck(_Part):
    """A file on any of the volumes, or on the one that ``path`` begins with; ``sha256`` is of its content."""

    path: str
    not_empty: bool = False
    sha256: str | None = None


class BootCheck(_Part):
    """The disks boot in QEMU until ``marker``, a regular expression, is on the first serial console."""

    marker: str
    seconds: int = 300
    memory_mib: int = 1024
    cpus: int = 1


class Checks(_Part):
    """Looked at beside the digests: that all volumes are readable, files, a boot."""

    filesystems: bool = False
    files: list[FileCheck] = []
    boot: BootCheck | None = None


class NewDrillPlan(_Part):
    """``vms`` by name, or ``percent`` a run of the VMs of ``job_ids``, of all VMs if those are none, in turns.

    sandbox_host_id: a host of whose VMs none is backed up. objective_seconds: a restore is to take no longer.
    schedule: daily, monthly or periodic; null if the plan runs only when asked to.
    """

    name: str
    sandbox_host_id: UUID
    objective_seconds: int
    vms: list[DrillVm] = []
    percent: int | None = None
    job_ids: list[UUID] = []
    checks: Checks = msgspec.field(default_factory=Checks)
    schedule: Schedule | None = None

    def value(self) -> values.DrillPlan:
        """Raises InvalidInput."""
        checks, schedule = self.checks, self.schedule
        return values.DrillPlan(
            name=self.name,
            selection=values.Selection(
                tuple(values.DrillVm(vm.host_id, vm.vm_ref) for vm in self.vms),
                self.percent,
                tuple(self.job_ids),
            ),
            sandbox_host_id=self.sandbox_host_id,
            objective_seconds=self.objective_seconds,
            checks=values.Checks(
                checks.filesystems,
                tuple(values.FileCheck(each.path, each.not_empty, each.sha256) for each in checks.files),
                None if checks.boot is None else values.BootCheck(**msgspec.structs.asdict(checks.boot)),
            ),
            schedule=None if schedule is None else schedule.value(),
            enabled=schedule is not None and schedule.enabled,
        )


class DrillPlan(msgspec.Struct):
    """``vms`` are those that the caller may see; ``next_run`` is null if it does not run by itself."""

    id: UUID
    name: str
    sandbox_host_id: UUID
    sandbox_host_name: str
    objective_seconds: int
    vms: list[DrillVm]
    percent: int | None
    job_ids: list[UUID]
    checks: Checks
    schedule: Schedule | None
    next_run: datetime | None
    created_at: datetime


class CheckOutcome(msgspec.Struct):
    """``subject``: what was looked at, if that is not the whole VM."""

    kind: values.CheckKind
    result: values.CheckResult
    subject: str | None
    detail: str


class DrilledVm(msgspec.Struct):
    """One VM in one run. Times in milliseconds: ``recovery_ms`` is that of the restore and of a boot that is asked for.

    session_id: the restore, whose evidence has the ``merkle_root``. copy_removed_at: since when it is gone from the
    sandbox.
    """

    id: UUID
    run_id: UUID
    plan_name: str
    host_id: UUID
    vm_ref: str
    vm_name: str
    vm_restore_point_id: UUID | None
    point_name: str | None
    point_created_at: datetime | None
    session_id: UUID | None
    copy_name: str
    copy_removed_at: datetime | None
    state: TaskSessionState
    result: SessionResult
    reason: Reason | None
    started_at: datetime | None
    ended_at: datetime | None
    restore_ms: int | None
    boot_ms: int | None
    recovery_ms: int | None
    objective_seconds: int
    checks: list[CheckOutcome]
    merkle_root: str | None


class DrillRunSummary(msgspec.Struct, kw_only=True):
    """One run in a list. Counts are of the VMs that the caller may see."""

    id: UUID
    name: str
    plan_id: UUID | None
    plan_name: str
    state: SessionState
    result: SessionResult
    objective_seconds: int
    created_at: datetime
    ended_at: datetime | None
    requested_by: str
    vms: int
    succeeded: int
    warned: int
    failed: int


class DrillRun(DrillRunSummary, kw_only=True):
    """One run with all that is known of it: to whom may see all of its VMs, ``reason`` and ``events`` too."""

    requested_from: str | None
    cancel_requested: bool
    reason: Reason | None
    results: list[DrilledVm]
    events: list[Event]


_RUNS = Choice(
    "-created_at",
    ("created_at",),
    {
        "plan": guid("plan_id"),
        "state": one_of("state", SessionState),
        "result": one_of("result", SessionResult),
        **period("created_at"),
    },
)
_RESULTS = Choice(
    "-started_at",
    ("started_at",),
    {
        "vm": text("vm_name"),
        "plan": guid("plan_id"),
        "result": one_of("result", SessionResult),
        **period("started_at"),
    },
    partial=frozenset({"started_at"}),
)


class Report(Response):
    """A page or a table."""


def _add(call: Call) -> DrillPlan:
    new: NewDrillPlan = call.body
    return _plan(call, plan_flows.add(call.engine, new.value()))


def _change(call: Call) -> DrillPlan:
    """Make a plan anew; a run that goes on is as it was."""
    new: NewDrillPlan = call.body
    plan_flows.change(call.engine, call.id, new.value())
    return _plan(call, call.id)


def _remove(call: Call) -> None:
    """What its runs found stays."""
    plan_flows.remove(call.engine, call.id)


def _get(call: Call) -> DrillPlan:
    return _plan(call, call.id)


def _list(call: Call) -> Page[DrillPlan]:
    """By name."""
    return page_of(
        call,
        drill_plans.listing,
        BY_NAME,
        lambda connection, rows: [_shown(call, connection, row) for row in rows],
    )


def _start(call: Call) -> DrillRun:
    """Run a plan now. Whoever may restore some VMs only may not."""
    if call.visible.account_id is not None:
        raise AccessDenied(
            f"{call.caller.account} may not restore all VMs, which a drill plan chooses from",
            hint="Ask a Portal Administrator to run it.",
        )
    return _run(call, drills.start(call.engine, call.id, call.caller))


def _list_runs(call: Call) -> Page[DrillRunSummary]:
    """Newest first; ``plan`` is the id of a plan. ``state`` and ``result`` are one or more names with commas between
    them; ``since`` and ``until`` are about when it was asked for.
    """

    return page_of(
        call, drill_runs.listing, _RUNS, lambda connection, rows: summaries(call, connection, rows)
    )


def summaries(call: Call, connection: Connection, rows: Sequence[Row]) -> list[DrillRunSummary]:
    """Rows of drill_runs.listing, with counts of the VMs that the caller may see."""
    counts = drill_vms.tallies(connection, [row.id for row in rows], call.visible)
    return [DrillRunSummary(**_summary(row, counts[row.id])) for row in rows]


def _get_run(call: Call) -> DrillRun:
    return _run(call, call.id)


def _cancel(call: Call) -> DrillRun:
    """Ask a run to stop, and to remove what it has restored. Whoever may not see all of its VMs may not."""
    _run(call, call.id)
    with call.engine.database.read() as connection:
        if not _sees_all(call, connection, call.id):
            raise AccessDenied(f"{call.caller.account} may not restore all VMs of the drill run {call.id}")
    drills.cancel(call.engine, call.id)
    return _run(call, call.id)


def _list_results(call: Call) -> Page[DrilledVm]:
    """What drills of VMs came to, newest first; ``vm`` is a name, ``plan`` the id of a plan; ``result`` is one or more
    names with commas between them; ``since`` and ``until`` are about when its restore began.
    """
    return page_of(
        call, drill_vms.listing, _RESULTS, lambda _connection, rows: [_drilled(row) for row in rows]
    )


def _report_of_run(call: Call) -> Report:
    """One run for an auditor; ``format`` is html or csv."""
    return _sent(call, drill_report.of_run(call.engine, call.visible, call.id))


def _report_of_time(call: Call) -> Report:
    """The drills that began from ``from`` on and before ``to``, dates or moments; ``format`` is html or csv."""
    start, end = call.moment("from"), call.moment("to")
    return _sent(call, drill_report.of_time(call.engine, call.visible, start, end))


def _sent(call: Call, report: DrillReport) -> Report:
    kind = call.request.query_params.get("format", "html")
    if kind not in ("html", "csv"):
        raise InvalidInput(f"format={kind} is not offered", hint="Write format=html or format=csv.")
    content, media = (as_html(report), "text/html") if kind == "html" else (as_csv(report), "text/csv")
    headers = {
        "Content-Disposition": f'attachment; filename="drills.{kind}"',
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return Report(content, 200, headers, f"{media}; charset=utf-8")


def _plan(call: Call, plan_id: UUID) -> DrillPlan:
    with call.engine.database.read() as connection:
        row = drill_plans.listing.one(connection, plan_id, call.visible)
        if row is None:
            raise NotFound(f"there is no drill plan {plan_id}")
        return _shown(call, connection, row)


def _shown(call: Call, connection: Connection, row: Row) -> DrillPlan:
    plan = drill_plans.plan_of(row)
    seen = [vm for vm in plan.selection.vms if may_see(connection, call.visible, vm.host_id, vm.vm_ref)]
    known = {job.id for job in jobs.list_all(connection)}
    return DrillPlan(
        id=row.id,
        name=row.name,
        sandbox_host_id=row.sandbox_host_id,
        sandbox_host_name=row.sandbox_host_name,
        objective_seconds=row.objective_seconds,
        vms=[show(vm, DrillVm) for vm in seen],
        percent=plan.selection.percent,
        job_ids=[job_id for job_id in plan.selection.job_ids if job_id in known],
        checks=show(plan.checks, Checks),
        schedule=None if plan.schedule is None else shown_schedule(plan.schedule, enabled=plan.enabled),
        next_run=row.next_run,
        created_at=row.created_at,
    )


def _run(call: Call, run_id: UUID) -> DrillRun:
    with call.engine.database.read() as connection:
        return whole(call, connection, run_id)[0]


def whole(call: Call, connection: Connection, run_id: UUID, *, after: int = 0) -> tuple[DrillRun, int]:
    """All of a run, with its events behind that one, and the last of these, ``after`` if there is none.

    Raises NotFound, also for what the caller may not see.
    """
    row = drill_runs.listing.one(connection, run_id, call.visible)
    if row is None:
        raise NotFound(f"there is no drill run {run_id}")
    found = drill_vms.listing.page(
        connection,
        where=Compare("run_id", "==", run_id),
        order=[("position", False)],
        visible=call.visible,
    )
    counts = drill_vms.tallies(connection, [run_id], call.visible)[run_id]
    sees_all = _sees_all(call, connection, run_id)
    events = drill_runs.events(connection, run_id, after=after) if sees_all else ()
    run = DrillRun(
        **_summary(row, counts),
        requested_from=row.requested_from if sees_all else None,
        cancel_requested=row.cancel_requested,
        reason=reason_of(row) if sees_all else None,
        results=[_drilled(vm) for vm in found],
        events=[show(event, Event) for event in events],
    )
    return run, events[-1].id if events else after


def _sees_all(call: Call, connection: Connection, run_id: UUID) -> bool:
    return all(
        may_see(connection, call.visible, vm.host_id, vm.vm_ref)
        for vm in drill_vms.of_run(connection, run_id)
    )


def _summary(row: Row, counts: dict[SessionResult, int]) -> dict[str, Any]:
    named = ("id", "name", "plan_id", "plan_name", "state", "result", "objective_seconds", "created_at")
    return {name: getattr(row, name) for name in (*named, "ended_at", "requested_by")} | {
        "vms": sum(counts.values()),
        "succeeded": counts.get(SessionResult.SUCCESS, 0),
        "warned": counts.get(SessionResult.WARNING, 0),
        "failed": counts.get(SessionResult.FAILED, 0),
    }


def _drilled(row: Row) -> DrilledVm:
    own = {
        name: getattr(row, name) for name in DrilledVm.__struct_fields__ if name not in ("reason", "checks")
    }
    outcomes = [show(outcome, CheckOutcome) for outcome in drill_vms.outcomes_of(row)]
    return DrilledVm(**own, reason=reason_of(row), checks=outcomes)


_PLAN, _RUN = "/drill-plans/{id}", "/drill-runs/{id}"

OPERATIONS = (
    Operation("GET", "/drill-plans", _list, _READERS, query=BY_NAME.query),
    Operation("POST", "/drill-plans", _add, ADMINISTRATORS, body=NewDrillPlan, status=201),
    Operation("GET", _PLAN, _get, _READERS),
    Operation("PUT", _PLAN, _change, ADMINISTRATORS, body=NewDrillPlan),
    Operation("DELETE", _PLAN, _remove, ADMINISTRATORS, status=204),
    Operation("POST", f"{_PLAN}/run", _start, RESTORERS, status=202),
    Operation("GET", "/drill-runs", _list_runs, EVERYONE, query=_RUNS.query),
    Operation("GET", _RUN, _get_run, EVERYONE),
    Operation("POST", f"{_RUN}/cancel", _cancel, RESTORERS, status=202),
    Operation("GET", f"{_RUN}/report", _report_of_run, _READERS, query=("format",)),
    Operation("GET", "/drill-results", _list_results, EVERYONE, query=_RESULTS.query),
    Operation("GET", "/drills/report", _report_of_time, _READERS, query=("from", "to", "format")),
)
