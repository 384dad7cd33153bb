"""Jobs, one job with its runs, and one run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response

from restorium.native.jobs import Job, JobSession
from restorium.vocabulary.timing import describe_retention, describe_schedule
from restorium.web.visit import Page, Visit

_RUNS = 50
_DONE = {
    "added": "The job was added. Start it, or let its schedule do that.",
    "removed": "The job was removed. What it has backed up stays and can be restored.",
}


def _list(visit: Visit) -> Response:
    jobs = visit.api.every("/jobs")
    last = {
        job.id: next(iter(visit.api.get("/job-sessions", {"job": str(job.id), "limit": "1"}).items), None)
        for job in jobs
    }
    return visit.show("jobs.html", jobs=jobs, last=last, done=_DONE.get(visit.query.get("done", "")))


def _show(visit: Visit) -> Response:
    job_id = visit.place("id")
    job = visit.api.get("/jobs/{id}", id=job_id)
    runs, turn = visit.listed("/job-sessions", _RUNS, job=str(job.id))
    return visit.show(
        "job.html",
        job=job,
        runs=runs,
        turn=turn,
        running=_runs_now(visit, job.id),
        done=_DONE.get(visit.query.get("done", "")),
        schedule=_told(visit, job),
        retention=describe_retention(msgspec.to_builtins(job.retention)),
    )


def _told(visit: Visit, job: Job) -> str:
    """Its schedule in words."""
    names = {}
    if job.schedule is not None and job.schedule.after_job_id is not None:
        names = {str(each.id): each.name for each in visit.api.every("/jobs")}
    return describe_schedule(msgspec.to_builtins(job.schedule), names)


def _runs_now(visit: Visit, job_id: UUID) -> bool:
    asked = {"job": str(job_id), "state": "Starting,Working,Stopping", "limit": "1"}
    return bool(visit.api.get("/job-sessions", asked).items)


def _start(visit: Visit) -> Response:
    begun = visit.api.post("/jobs/{id}/start", id=visit.place("id"))
    return visit.go(f"/job-sessions/{begun.id}")


def _run(visit: Visit) -> Response:
    found = visit.api.get("/job-sessions/{id}", id=visit.place("id"))
    return visit.show("job_session.html", **parts(visit, found))


def parts(visit: Visit, session: JobSession) -> dict[str, Any]:
    """What the template of one run, and of its live parts, is given."""
    taken = (session.ended_at or visit.engine.clock.now()) - session.created_at
    return {"session": session, "taken": taken}


def _stop(visit: Visit) -> Response:
    visit.api.post("/job-sessions/{id}/cancel", id=visit.place("id"))
    return visit.go(f"/job-sessions/{visit.place('id')}")


PAGES = (
    Page("GET", "/jobs", _list),
    Page("GET", "/jobs/{id}", _show),
    Page("POST", "/jobs/{id}/start", _start),
    Page("GET", "/job-sessions/{id}", _run),
    Page("POST", "/job-sessions/{id}/cancel", _stop),
)
