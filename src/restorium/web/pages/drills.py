"""Drills: the plans with how long recovery took from run to run, and one run with what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from restorium.native.drill_plans import DrillPlan
from restorium.native.drill_results import DrilledVm
from restorium.native.drill_runs import DrillRun, DrillRunSummary
from restorium.web.charts import Chart, chart
from restorium.web.visit import Page, Visit

_RUN = "/drill-runs/{id}"
_RUNS = 50
_DONE = {
    "added": "The drill plan was added.",
    "changed": "The drill plan was changed. A run that goes on is as it was.",
    "removed": "The drill plan was removed. What its runs found stays.",
}
_MOST_RESULTS = "500"


class Planned(NamedTuple):
    """A plan, its newest run, and ``times``: of each run, oldest first, when it began and its longest recovery, in
    seconds. ``trend`` is None before the second run.
    """

    plan: DrillPlan
    last: DrillRunSummary | None
    times: list[tuple[float, float]]
    trend: Chart | None


def _list(visit: Visit) -> Response:
    plans = visit.api.every("/drill-plans") if visit.api.may("GET", "/drill-plans") else []
    runs, turn = visit.listed("/drill-runs", _RUNS)
    planned = [_planned(visit, plan) for plan in plans]
    done = _DONE.get(visit.query.get("done", ""))
    return visit.show("drills.html", plans=planned, runs=runs, turn=turn, done=done)


def _planned(visit: Visit, plan: DrillPlan) -> Planned:
    of_plan = {"plan": str(plan.id)}
    last = visit.api.get("/drill-runs", {**of_plan, "limit": "1"}).items
    times = _times(visit.api.get("/drill-results", {**of_plan, "limit": _MOST_RESULTS}).items)
    trend = chart(times, mark=plan.objective_seconds)
    return Planned(plan, last[0] if last else None, times, trend)


def _times(results: Sequence[DrilledVm]) -> list[tuple[float, float]]:
    found: dict[object, tuple[float, float]] = {}
    for result in reversed(results):
        if result.recovery_ms is not None and result.started_at is not None:
            seconds = result.recovery_ms / 1000
            begun, longest = found.get(result.run_id, (result.started_at.timestamp(), 0.0))
            found[result.run_id] = (begun, max(longest, seconds))
    return sorted(found.values())


def _start(visit: Visit) -> Response:
    begun = visit.api.post("/drill-plans/{id}/run", id=visit.place("id"))
    return visit.go(f"/drills/runs/{begun.id}")


def _show(visit: Visit) -> Response:
    return visit.show("drill_run.html", **parts(visit, visit.api.get(_RUN, id=visit.place("id"))))


def parts(visit: Visit, run: DrillRun) -> dict[str, Any]:
    """What the template of one run, and of its live parts, is given."""
    taken = (run.ended_at or visit.engine.clock.now()) - run.created_at
    return {"run": run, "taken": taken}


def _cancel(visit: Visit) -> Response:
    visit.api.post(f"{_RUN}/cancel", id=visit.place("id"))
    return visit.go(f"/drills/runs/{visit.place('id')}")


def _report(visit: Visit) -> Response:
    """For an auditor, as a file."""
    asked = {"format": visit.query.get("format", "html")}
    found: Response = visit.api.get(f"{_RUN}/report", asked, id=visit.place("id"))
    return found


PAGES = (
    Page("GET", "/drills", _list),
    Page("POST", "/drills/{id}/run", _start),
    Page("GET", "/drills/runs/{id}", _show),
    Page("POST", "/drills/runs/{id}/cancel", _cancel),
    Page("GET", "/drills/runs/{id}/report", _report),
)
