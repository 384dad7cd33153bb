"""A sandbox beside a site, and drills in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from restorium.catalog import drill_runs, drill_vms, jobs
from restorium.catalog.listing import Row
from restorium.flows import drill_plans, drills, hosts
from restorium.vocabulary.drills import Checks, DrillPlan, DrillVm, Selection
from restorium.vocabulary.sessions import SessionState
from tests.support.flows import CALLER, Site, files
from tests.support.waiting import wait_until


class Drills:
    """Plans and runs of a site whose sandbox is the folder ``sandbox``."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sandbox = site.folder / "sandbox"
        self.sandbox.mkdir()
        self.host_id = hosts.add(site.engine, "image-folder", "sandbox", str(self.sandbox))

    def plan(self, selection: Selection, name: str = "weekly", **values: Any) -> UUID:
        values = {"objective_seconds": 3600, "checks": Checks()} | values
        return drill_plans.add(self.site.engine, DrillPlan(name, selection, self.host_id, **values))

    def named(self, job_id: UUID, *refs: str) -> Selection:
        """These VMs of a job."""
        with self.site.database.read() as connection:
            vms = {vm.vm_ref: vm.host_id for vm in jobs.objects(connection, job_id)}
        return Selection(tuple(DrillVm(vms[ref], ref) for ref in refs))

    def run(self, plan_id: UUID) -> Row:
        """To its end."""
        return self.ended(drills.start(self.site.engine, plan_id, CALLER))

    def ended(self, run_id: UUID) -> Row:
        wait_until(lambda: self.row(run_id).state is SessionState.STOPPED, timeout=60)
        return self.row(run_id)

    def row(self, run_id: UUID) -> Row:
        with self.site.database.read() as connection:
            return drill_runs.get(connection, run_id)

    def vms(self, run_id: UUID) -> Sequence[Row]:
        with self.site.database.read() as connection:
            return drill_vms.of_run(connection, run_id)

    def left(self) -> set[str]:
        """What is in the sandbox."""
        return files(self.sandbox)
