"""Jobs, one job with its runs, and one run."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from restorium.web.visit import Page, Visit

_RUNS = 50


def _list(visit: Visit) -> Response:
    jobs = visit.api.every("/jobs")
    last = {
        job.id: next(iter(visit.api.get("/job-sessions", {"job": str(job.id), "limit": "1"}).items), None)
        for job in jobs
    }
    return visit.show("jobs.html", jobs=jobs, last=last)


def _show(visit: Visit) -> Response:
    job_id = visit.place("id")
    job = visit.api.get("/jobs/{id}", id=job_id)
    runs, turn = visit.listed("/job-sessions", _RUNS, job=str(job.id))
    return visit.show("job.html", job=job, runs=runs, turn=turn, running=_runs_now(visit, job.id))


def _runs_now(visit: Visit, job_id: UUID) -> bool:
    asked = {"job": str(job_id), "state": "Starting,Working,Stopping", "limit": "1"}
    return bool(visit.api.get("/job-sessions", asked).items)


def _start(visit: Visit) -> Response:
    begun = visit.api.post("/jobs/{id}/start", id=visit.place("id"))
    return visit.go(f"/job-sessions/{begun.id}")


def _run(visit: Visit) -> Response:
    session = visit.api.get("/job-sessions/{id}", id=visit.place("id"))
    taken = (session.ended_at or visit.engine.clock.now()) - session.created_at
    return visit.show("job_session.html", session=session, taken=taken)


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
