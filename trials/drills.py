"""R16: a share of the VMs is drilled each week of a simulated year, by the schedule.

Each tenth case is 50 VMs, a tenth of them a week, for 52 weeks; the others are a few VMs for a few weeks.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from datetime import time
from pathlib import Path

from restorium.catalog import drill_runs, drill_vms, evidence, points
from restorium.catalog.database import Database
from restorium.catalog.listing import Row, Visibility
from restorium.evidence import PublicKey, check
from restorium.flows import backup, drill_plans, drill_report, hosts, jobs, repositories
from restorium.flows import evidence as evidence_flows
from restorium.flows.engine import Engine
from restorium.flows.schedule import Scheduler
from restorium.reports import as_csv
from restorium.settings import Settings
from restorium.vocabulary.drills import DrillPlan, Selection
from restorium.vocabulary.schedule import Daily, DailyKind, Schedule, Weekday
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.flows import CALLER, KEY
from tests.support.waiting import wait_until
from trials.common import Trial

_WEEK_SECONDS = 7 * 86400
_SUNDAYS = Schedule(daily=Daily(time(3), DailyKind.SELECTED_DAYS, frozenset({Weekday.SUNDAY})))
_TOLD = ("vm", "point", "started_at", "requested_by", "recovery_seconds", "merkle_root", "result", "evidence")
_ALL = Visibility.everything()


def case(folder: Path, seed: int) -> Counter[str]:
    """One estate and its year, or a part of it, in an empty folder."""
    chance = random.Random(seed)
    if seed % 10 == 0:
        vms, percent, weeks = 50, 10, 52
    else:
        vms, percent, weeks = chance.randrange(4, 9), chance.choice([25, 34, 50]), chance.randrange(4, 7)
    clock = ManualClock(seed)
    database = Database.open(f"sqlite:///{folder / 'restorium.db'}", clock)
    engine = Engine(Settings(data=folder / "data"), database, clock)
    try:
        return _Year(folder, engine, clock, chance, vms, percent).drilled(weeks)
    finally:
        engine.stop()
        database.close()


class _Year:
    def __init__(
        self,
        folder: Path,
        engine: Engine,
        clock: ManualClock,
        chance: random.Random,
        vms: int,
        percent: int,
    ) -> None:
        self._engine, self._clock = engine, clock
        self._sandbox, images = folder / "sandbox", folder / "images"
        self._sandbox.mkdir()
        images.mkdir()
        self._names = [f"vm-{number:02}" for number in range(vms)]
        self._turns = -(-vms // -(-vms * percent // 100))
        """Weeks until each VM had its turn."""
        for name in self._names:
            (images / f"{name}.raw").write_bytes(chance.randbytes(chance.randrange(1, 64) * 512))
            (images / f"{name}.vm.toml").write_text(
                f'name = "{name}"\n[[disk]]\nkey = "disk0"\nfile = "{name}.raw"\nformat = "raw"\n'
            )
        host_id = hosts.add(engine, "image-folder", "lab", str(images))
        sandbox_id = hosts.add(engine, "image-folder", "sandbox", str(self._sandbox))
        repository_id = repositories.add(engine, "main", (folder / "vault").as_uri(), KEY)
        job_id = jobs.add(engine, "nightly", repository_id, [(host_id, name) for name in self._names])
        engine.start()
        backup.start(engine, job_id, CALLER)
        wait_until(lambda: self._points() == vms, timeout=120)
        plan = DrillPlan("weekly", Selection(percent=percent), sandbox_id, 3600, schedule=_SUNDAYS)
        self._plan_id = drill_plans.add(engine, plan)

    def drilled(self, weeks: int) -> Counter[str]:
        last: dict[str, int] = {}
        for week in range(weeks):
            self._clock.advance(_WEEK_SECONDS)
            Scheduler().reconcile(self._engine)
            wait_until(lambda week=week: self._ended() == week + 1, timeout=120)
            assert list(self._sandbox.iterdir()) == [], "the sandbox is not empty"
            for vm in self._vms(self._runs()[-1]):
                assert vm.result is SessionResult.SUCCESS, vm.reason
                assert week - last.get(vm.vm_name, -1) <= self._turns, f"{vm.vm_name} waited too long"
                last[vm.vm_name] = week
            assert all(week - last.get(name, -1) <= self._turns for name in self._names)
        drilled = self._check_report()
        return Counter({"weeks": weeks, "VMs": len(self._names), "restores drilled": drilled})

    def _check_report(self) -> int:
        report = drill_report.of_time(self._engine, _ALL, None, None)
        rows = list(csv.DictReader(io.StringIO(as_csv(report))))
        keys = [PublicKey(key.public_key) for key in evidence_flows.keys(self._engine)]
        vms = {str(vm.session_id): vm for run in self._runs() for vm in self._vms(run)}
        assert len(rows) == len(vms)
        with self._engine.database.read() as connection:
            for row in rows:
                assert all(row[name] for name in _TOLD), row
                vm = vms[row["evidence"]]
                document = evidence.find(connection, vm.session_id)
                assert document is not None
                record = check(document.encode(), keys)
                assert (record.merkle_root, record.result) == (row["merkle_root"], "Success")
                assert all(disk.digest for disk in record.disks)
        return len(rows)

    def _points(self) -> int:
        with self._engine.database.read() as connection:
            return points.vm_listing.count(connection, visible=_ALL)

    def _runs(self) -> list[Row]:
        with self._engine.database.read() as connection:
            return list(drill_runs.listing.page(connection, order=[("created_at", False)], visible=_ALL))

    def _vms(self, run: Row) -> list[Row]:
        with self._engine.database.read() as connection:
            return list(drill_vms.of_run(connection, run.id))

    def _ended(self) -> int:
        return sum(run.state is SessionState.STOPPED for run in self._runs())


TRIAL = Trial(
    "drills",
    "R16",
    "Each VM has its turn in the time that the share implies, digests are verified and evidence is genuine, the sandbox"
    " is empty after each run, and the export has every row whole.",
    case,
    short=2,
    long=10,
)
