"""One restore point, and restoring the whole VM from it: asked for, shown once more, then begun."""

from __future__ import annotations

from uuid import uuid4

from starlette.responses import Response

from restorium.native.restores import NewRestore
from restorium.vocabulary.errors import InvalidInput, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.visit import Page, Visit

_BESIDE, _OVER = "beside", "over"


def _show(visit: Visit) -> Response:
    point_id = visit.place("id")
    point = visit.api.get("/restore-points/{id}", id=point_id)
    disks, problem = [], None
    if visit.api.may("GET", "/restore-points/{id}/disks"):
        try:
            disks = visit.api.get("/restore-points/{id}/disks", id=point_id).items
        except RestoriumError as error:
            problem = error
    return visit.show("point.html", point=point, disks=disks, problem=problem)


def _confirm(visit: Visit) -> Response:
    """What is about to be done. The key in its form makes a restore that is sent twice one."""
    asked = visit.query
    how = asked.get("how", _BESIDE)
    if how not in (_BESIDE, _OVER):
        raise InvalidInput(f"{how!r} is no way to restore", hint="Choose one on the restore point's page.")
    point = visit.api.get("/restore-points/{id}", id=visit.place("id"))
    return visit.show(
        "restore.html",
        point=point,
        how=how,
        name=asked.get("name", "").strip() if how == _BESIDE else "",
        quick=how == _OVER and "quick" in asked,
        power_on="power_on" in asked,
        key=str(uuid4()),
    )


def _start(visit: Visit) -> Response:
    form = visit.form
    beside = form["how"] == _BESIDE
    body = NewRestore(
        parse_guid(visit.place("id")),
        keep_original=beside,
        new_name=form["name"] or None if beside else None,
        quick_rollback=not beside and "quick" in form,
        power_on="power_on" in form,
    )
    begun = visit.api.post("/restores", body, key=form["key"] or None)
    return visit.go(f"/sessions/{begun.id}")


PAGES = (
    Page("GET", "/points/{id}", _show),
    Page("GET", "/points/{id}/restore", _confirm),
    Page("POST", "/points/{id}/restore", _start),
)
