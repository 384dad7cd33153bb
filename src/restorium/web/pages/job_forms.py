"""Making a job, and changing what it is of, when it runs and what it keeps."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from restorium.native.jobs import Job, JobChanges, JobVms, NewJob
from restorium.vocabulary.errors import InvalidInput, NotFound, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.inventory import key, offered, vm_of
from restorium.web.scheduling import (
    CHOICES,
    retention_fields,
    retention_of,
    schedule_fields,
    schedule_of,
)
from restorium.web.visit import Form, Page, Visit, retold

_ONE = "/jobs/{id}"
_DONE = {
    "described": "The name and the description were changed.",
    "vms": "The VMs were changed, from the next run on.",
    "schedule": "The schedule was changed.",
    "retention": "What is kept was changed. It is cut with the next run.",
}
_BOXES = {"vms": ("vm",), "schedule": ("days", "enabled")}
"""Boxes to tick, by the form that they are in."""


def _new(visit: Visit, error: RestoriumError | None = None) -> Response:
    visit.need("POST", "/jobs")
    form = Form.of({**schedule_fields(None), **retention_fields(None)}) if error is None else visit.form
    return visit.again(error, "job_new.html", **_to_choose_from(visit), form=form, other_jobs=_jobs(visit))


@retold(_new)
def _add(visit: Visit) -> Response:
    form = visit.form
    if not form["repository"]:
        raise InvalidInput("no repository is chosen", hint="Choose where the job backs up to.")
    vms = [vm_of(each) for each in form.all("vm")]
    asked = NewJob(
        form["name"],
        parse_guid(form["repository"]),
        vms,
        form["description"].strip(),
        schedule_of(form),
        retention_of(form),
    )
    added = visit.api.post("/jobs", asked)
    return visit.go(f"/jobs/{added.id}", done="added")


def _edit(visit: Visit, error: RestoriumError | None = None) -> Response:
    """Four forms on one page. What was typed into the one that was refused is there still."""
    visit.need("PATCH", _ONE)
    job: Job = visit.api.get(_ONE, id=visit.place("id"))
    form = Form.of(
        {
            "name": job.name,
            "description": job.description,
            "vm": [key(vm.host_id, vm.vm_ref) for vm in job.vms],
            **schedule_fields(job.schedule),
            **retention_fields(job.retention),
        }
    )
    if error is not None:
        form = form.with_typed(visit.form, _BOXES.get(visit.form["what"], ()))
    return visit.again(
        error,
        "job_edit.html",
        job=job,
        wrong=visit.form["what"],
        form=form,
        **_to_choose_from(visit),
        other_jobs=[each for each in _jobs(visit) if each.id != job.id],
        done=_DONE.get(visit.query.get("done", "")),
    )


@retold(_edit, NotFound)
def _change(visit: Visit) -> Response:
    """One of its forms; ``what`` says which."""
    job_id, form = visit.place("id"), visit.form
    what = form["what"]
    if what == "described":
        visit.api.patch(_ONE, JobChanges(form["name"], form["description"].strip()), id=job_id)
    elif what == "vms":
        visit.api.put(f"{_ONE}/vms", JobVms([vm_of(each) for each in form.all("vm")]), id=job_id)
    elif what == "schedule":
        _set(visit, f"{_ONE}/schedule", schedule_of(form))
    elif what == "retention":
        _set(visit, f"{_ONE}/retention", retention_of(form))
    elif what == "removed":
        visit.api.delete(_ONE, id=job_id)
        return visit.go("/jobs", done="removed")
    else:
        raise InvalidInput(f"{what!r} is nothing to change of a job")
    return visit.go(f"/jobs/{job_id}/edit", done=what)


def _set(visit: Visit, path: str, value: Any) -> None:
    if value is None:
        visit.api.delete(path, id=visit.place("id"))
    else:
        visit.api.put(path, value, id=visit.place("id"))


def _to_choose_from(visit: Visit) -> dict[str, Any]:
    return {
        "offered": offered(visit),
        "repositories": visit.api.every("/repositories"),
        "key": key,
        "choices": CHOICES,
    }


def _jobs(visit: Visit) -> list[Job]:
    return visit.api.every("/jobs")


PAGES = (
    Page("GET", "/jobs/new", _new),
    Page("POST", "/jobs/new", _add),
    Page("GET", "/jobs/{id}/edit", _edit),
    Page("POST", "/jobs/{id}/edit", _change),
)
