"""Drill plans and their runs in the catalog: turns, due runs, who may see what. The clock stands still."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.engine import Connection

from restorium.catalog import (
    accounts,
    drill_plans,
    drill_runs,
    drill_vms,
    hosts,
    protection,
    restore_sessions,
    schedules,
)
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.vocabulary.drills import (
    BootCheck,
    CheckKind,
    CheckOutcome,
    CheckResult,
    Checks,
    DrillPlan,
    DrillVm,
    FileCheck,
    Selection,
    verdict,
)
from restorium.vocabulary.errors import Conflict, InvalidInput, NotFound
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.schedule import Continuous, Periodic, Retry, Schedule
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.estate import add_host, add_job, record_point

CALLER = Caller("operator")
ALL = Visibility.everything()
HOUR = timedelta(hours=1)
CHECKS = Checks(True, (FileCheck("/etc/fstab", True, "0" * 64),), BootCheck("login:", 60, 512, 2))


class Estate:
    """Ten VMs of one job, all with a restore point but the last, and a host for drills."""

    def __init__(self, connection: Connection) -> None:
        host = add_host(connection)
        self.vms = [JobVm(host.id, f"vm-{number}", f"vm {number}") for number in range(10)]
        self.job = add_job(connection, self.vms)
        self.points = record_point(connection, self.job, self.vms[:-1], uuid4(), host.created_at)
        self.sandbox: UUID = add_host(connection, "sandbox").id

    def plan(self, selection: Selection, name: str = "weekly", **values: object) -> DrillPlan:
        return DrillPlan(name, selection, self.sandbox, 60, **values)  # type: ignore[arg-type]

    def named(self, *numbers: int) -> Selection:
        return Selection(tuple(DrillVm(vm.host_id, vm.vm_ref) for vm in (self.vms[each] for each in numbers)))


def _run(
    connection: Connection,
    plan_id: UUID,
    result: SessionResult = SessionResult.SUCCESS,
    code: str | None = None,
) -> list[str]:
    """A run to its end; gives the references of its VMs."""
    run = drill_runs.create(connection, plan_id, CALLER)
    for vm in drill_vms.of_run(connection, run.id):
        drill_vms.begin(connection, vm.id)
        drill_vms.end(connection, vm.id, result, reason_code=code)
    drill_runs.advance(connection, run.id, SessionState.WORKING)
    drill_runs.advance(connection, run.id, SessionState.STOPPED, result=result)
    return [vm.vm_ref for vm in drill_vms.of_run(connection, run.id)]


def test_plan_is_kept_as_it_was_made(database: Database) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        plans = [
            estate.plan(estate.named(1, 0), checks=CHECKS, schedule=Schedule(periodic=Periodic())),
            estate.plan(Selection(percent=10), "tenth", enabled=False),
            estate.plan(Selection(percent=100, job_ids=(estate.job.id,)), "all"),
        ]
        rows = [drill_plans.add(connection, plan) for plan in plans]
        assert [drill_plans.plan_of(row) for row in rows] == plans
        with pytest.raises(Conflict, match="exists already"):
            drill_plans.add(connection, plans[0])
        drill_plans.change(connection, rows[0].id, estate.plan(Selection(percent=5), "other"))
        assert drill_plans.get(connection, rows[0].id).name == "other"
        with pytest.raises(Conflict, match="restores to host"):
            hosts.remove(connection, estate.sandbox)
        for row in rows:
            drill_plans.remove(connection, row.id)
        hosts.remove(connection, estate.sandbox)


def test_sandbox_is_no_host_of_protected_vms(database: Database) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        with pytest.raises(Conflict, match="no sandbox"):
            drill_plans.add(connection, DrillPlan("x", Selection(percent=1), estate.vms[0].host_id, 60))


def test_vms_that_are_named_must_be_known(database: Database) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        assert protection.vms(connection, estate.named(3, 9)) == [estate.vms[3], estate.vms[9]]
        assert protection.vms(connection, Selection(percent=1)) == estate.vms
        with pytest.raises(NotFound, match="no job"):
            protection.check(connection, Selection((DrillVm(estate.sandbox, "vm-1"),)))
        with pytest.raises(NotFound, match="no job"):
            protection.check(connection, Selection(percent=1, job_ids=(uuid4(),)))
        gone = Selection((DrillVm(estate.sandbox, "vm-1"),))
        assert protection.vms(connection, gone) == [JobVm(estate.sandbox, "vm-1", "vm-1")]
        assert protection.vms(connection, Selection(percent=1, job_ids=(uuid4(),))) == []
        other = add_job(connection, [estate.vms[2]], "other")
        assert protection.vms(connection, Selection(percent=1, job_ids=(other.id,))) == [estate.vms[2]]


@pytest.mark.parametrize(("percent", "share", "runs"), [(10, 1, 10), (25, 3, 4), (100, 10, 1)])
def test_each_vm_has_its_turn(
    database: Database, clock: ManualClock, percent: int, share: int, runs: int
) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        plan_id = drill_plans.add(connection, estate.plan(Selection(percent=percent))).id
        seen: list[str] = []
        for _ in range(runs):
            clock.advance(3600)
            turn = _run(connection, plan_id, SessionResult.FAILED)
            assert len(turn) == share
            seen += turn
        assert set(seen) == {vm.vm_ref for vm in estate.vms}
        assert seen[:10] == [vm.vm_ref for vm in estate.vms], "none twice before all had their turn"


def test_what_was_cancelled_keeps_its_turn_and_plans_do_not_take_each_others(
    database: Database, clock: ManualClock
) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        plan_id = drill_plans.add(connection, estate.plan(Selection(percent=20))).id
        other_id = drill_plans.add(connection, estate.plan(Selection(percent=20), "other")).id
        assert _run(connection, plan_id, SessionResult.FAILED, "cancelled") == ["vm-0", "vm-1"]
        clock.advance(3600)
        assert _run(connection, plan_id) == ["vm-0", "vm-1"]
        clock.advance(3600)
        assert _run(connection, plan_id) == ["vm-2", "vm-3"]
        assert _run(connection, other_id) == ["vm-0", "vm-1"]


def test_due_run_is_taken_once_and_what_was_missed_is_one_run(database: Database, clock: ManualClock) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        hourly = Schedule(periodic=Periodic())
        plan = drill_plans.add(connection, estate.plan(Selection(percent=20), schedule=hourly))
        drill_plans.add(connection, estate.plan(Selection(percent=20), "off", schedule=hourly, enabled=False))
        assert schedules.due(connection, drill_plans.TABLE) == []
        clock.advance(3 * 3600)
        [due] = schedules.due(connection, drill_plans.TABLE)
        assert due.id == plan.id
        assert schedules.take(connection, drill_plans.TABLE, due)
        assert not schedules.take(connection, drill_plans.TABLE, due), "another worker has read it too"
        assert schedules.due(connection, drill_plans.TABLE) == []
        assert drill_plans.get(connection, plan.id).next_run == plan.next_run + 3 * HOUR
        # A change of something else does not put the next run off.
        clock.advance(600)
        changed = estate.plan(Selection(percent=30), schedule=hourly)
        drill_plans.change(connection, plan.id, changed)
        assert drill_plans.get(connection, plan.id).next_run == plan.next_run + 3 * HOUR


def test_runs_stay_when_their_plan_goes(database: Database) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        plan_id = drill_plans.add(connection, estate.plan(Selection(percent=20))).id
        run = drill_runs.create(connection, plan_id, CALLER)
        with pytest.raises(Conflict, match="is running"):
            drill_plans.remove(connection, plan_id)
        drill_runs.advance(connection, run.id, SessionState.STOPPED, result=SessionResult.SUCCESS)
        drill_plans.remove(connection, plan_id)
        assert drill_runs.get(connection, run.id).plan_name == "weekly"
        assert len(drill_vms.of_run(connection, run.id)) == 2


def _scoped(connection: Connection, host_id: UUID, vm_ref: str) -> Visibility:
    account = accounts.add(connection, "clerk", "a password", roles=(), restore_all=False)
    accounts.set_scopes(connection, account.id, [accounts.Scope(host_id, vm_ref)], restore_all=False)
    return Visibility(account.id)


def test_scope_cuts_runs_vms_and_counts(database: Database, clock: ManualClock) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        first, second = (
            drill_plans.add(connection, estate.plan(estate.named(*numbers), f"plan {numbers}")).id
            for numbers in ((0, 1), (2, 3))
        )
        _run(connection, first)
        _run(connection, second)
        clerk = _scoped(connection, estate.vms[1].host_id, "vm-1")
    with database.read() as connection:
        [run] = drill_runs.listing.page(connection, visible=clerk)
        assert run.plan_id == first
        assert [vm.vm_ref for vm in drill_vms.listing.page(connection, visible=clerk)] == ["vm-1"]
        assert drill_vms.tallies(connection, [run.id], clerk) == {run.id: {SessionResult.SUCCESS: 1}}
        assert drill_vms.tallies(connection, [run.id], ALL) == {run.id: {SessionResult.SUCCESS: 2}}
        assert [vm.vm_ref for vm in protection.of_vms(connection, clerk)] == ["vm-1"]


def test_vms_are_at_risk_until_a_restore_has_succeeded_and_again_when_it_is_long_ago(
    database: Database, clock: ManualClock
) -> None:
    with database.write() as connection:
        estate = Estate(connection)
        found = protection.at_risk(connection, ALL, 30 * 24 * HOUR)
        assert [vm.vm_ref for vm in found] == [vm.vm_ref for vm in estate.vms]
        assert found[0].newest_at is not None and found[9].newest_at is None
        _restored(connection, estate.points[0])
        assert "vm-0" not in {vm.vm_ref for vm in protection.at_risk(connection, ALL, HOUR)}
        clock.advance(3601)
        assert "vm-0" in {vm.vm_ref for vm in protection.at_risk(connection, ALL, HOUR)}


def _restored(connection: Connection, point: Row) -> None:
    session = restore_sessions.create(connection, point=point, spec=RestoreSpec(point.id), caller=CALLER)
    restore_sessions.advance(connection, session.id, SessionState.WORKING)
    restore_sessions.advance(connection, session.id, SessionState.STOPPED, result=SessionResult.SUCCESS)


def test_what_says_nothing_is_refused() -> None:
    vm, host = DrillVm(uuid4(), "vm-1"), uuid4()
    for wrong in (
        lambda: Selection(),
        lambda: Selection((vm,), 10),
        lambda: Selection((vm, vm)),
        lambda: Selection((vm,), job_ids=(uuid4(),)),
        lambda: Selection(percent=0),
        lambda: Selection(percent=101),
        lambda: FileCheck("//"),
        lambda: FileCheck("/x", sha256="0" * 63),
        lambda: BootCheck("x", seconds=0),
        lambda: BootCheck("x", memory_mib=1),
        lambda: DrillPlan("x", Selection((vm,)), host, 0),
        lambda: DrillPlan("x", Selection((vm,)), host, 1, schedule=Schedule(continuous=Continuous())),
        lambda: DrillPlan("x", Selection((vm,)), host, 1, schedule=Schedule(after_job=uuid4())),
        lambda: DrillPlan(
            "x", Selection((vm,)), host, 1, schedule=Schedule(periodic=Periodic(), retry=Retry())
        ),
    ):
        with pytest.raises(InvalidInput):
            wrong()


def test_verdict_is_the_worst() -> None:
    passed, failed, unknown = (
        CheckOutcome(CheckKind.FILE, result, "so it is", "/x") for result in CheckResult
    )
    assert verdict([passed], 1000, 1) is None
    assert [
        None if (found := verdict(outcomes, took, 1)) is None else found.code
        for outcomes, took in (
            ([passed], 1001),
            ([passed, unknown], 1001),
            ([unknown, failed, passed], 1),
            ([passed], None),
        )
    ] == ["objective-missed", "unsupported", "drill-failed", None]
