"""One restore point, and restoring the whole VM from it: asked for, shown once more, then begun."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID, uuid4

from starlette.responses import Response

from restorium.native.hosts import RestoreHost
from restorium.native.restores import NewRestore
from restorium.vocabulary.errors import InvalidInput, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.visit import Form, Page, Visit

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
    others = [host for host in _hosts(visit) if host.id != point.host_id]
    return visit.show("point.html", point=point, disks=disks, problem=problem, others=others)


def _confirm(visit: Visit) -> Response:
    """What is about to be done. The key in its form makes a restore that is sent twice one."""
    asked = as_asked(visit, Form(visit.request.url.query.encode()))
    point = visit.api.get("/restore-points/{id}", id=visit.place("id"))
    fields = {
        "how": _BESIDE if asked.keep_original else _OVER,
        "name": asked.new_name or "",
        "host": str(asked.host_id or ""),
        **({"quick": "yes"} if asked.quick_rollback else {}),
        **({"power_on": "yes"} if asked.power_on else {}),
    }
    return visit.show(
        "restore.html",
        point=point,
        asked=asked,
        host=_host_name(visit, asked.host_id) or point.host_name,
        fields=fields,
        query=urlencode(fields),
        key=str(uuid4()),
    )


def _start(visit: Visit) -> Response:
    begun = visit.api.post("/restores", as_asked(visit, visit.form), key=visit.form["key"] or None)
    return visit.go(f"/sessions/{begun.id}")


def as_asked(visit: Visit, form: Form) -> NewRestore:
    """What the fields of a restore point's page ask for. Raises InvalidInput."""
    how = form["how"] or _BESIDE
    if how not in (_BESIDE, _OVER):
        raise InvalidInput(f"{how!r} is no way to restore", hint="Choose one on the restore point's page.")
    beside = how == _BESIDE
    return NewRestore(
        parse_guid(visit.place("id")),
        keep_original=beside,
        new_name=form["name"].strip() or None if beside else None,
        host_id=parse_guid(form["host"]) if beside and form["host"] else None,
        quick_rollback=not beside and "quick" in form,
        power_on="power_on" in form,
    )


def _hosts(visit: Visit) -> list[RestoreHost]:
    """Those that the visitor may restore to."""
    found: list[RestoreHost] = (
        visit.api.get("/restore-hosts").items if visit.api.may("GET", "/restore-hosts") else []
    )
    return found


def _host_name(visit: Visit, host_id: UUID | None) -> str | None:
    return next((host.name for host in _hosts(visit) if host.id == host_id), None)


PAGES = (
    Page("GET", "/points/{id}", _show),
    Page("GET", "/points/{id}/restore", _confirm),
    Page("POST", "/points/{id}/restore", _start),
)
