"""Plans of what is restored into a sandbox and checked there."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import drill_plans, jobs
from restorium.catalog.listing import Row
from restorium.catalog.visibility import may_see
from restorium.flows import drill_plans as plan_flows
from restorium.native.exchange import show
from restorium.native.lists import BY_NAME, page_of
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.roles import ADMINISTRATORS, DRILL_READERS
from restorium.native.schedules import Schedule
from restorium.native.schedules import shown as shown_schedule
from restorium.vocabulary import drills as values
from restorium.vocabulary.errors import NotFound


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


_PLAN = "/drill-plans/{id}"

OPERATIONS = (
    Operation("GET", "/drill-plans", _list, DRILL_READERS, query=BY_NAME.query),
    Operation("POST", "/drill-plans", _add, ADMINISTRATORS, body=NewDrillPlan, status=201),
    Operation("GET", _PLAN, _get, DRILL_READERS),
    Operation("PUT", _PLAN, _change, ADMINISTRATORS, body=NewDrillPlan),
    Operation("DELETE", _PLAN, _remove, ADMINISTRATORS, status=204),
)
