"""One restore point: removing it, and restoring the whole VM from it: asked for, shown once more, then begun."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from restorium.native.points import RestorePoint
from restorium.vocabulary.errors import NotFound, RestoriumError
from restorium.web.restore_form import BESIDE, as_asked, fields_of, networks_of, targets
from restorium.web.visit import Form, Page, Visit, retold

_ONE = "/restore-points/{id}"


def _show(visit: Visit) -> Response:
    return _page(visit, _point(visit), _from_address(visit))


def _page(visit: Visit, point: RestorePoint, form: Form, error: RestoriumError | None = None) -> Response:
    """With a form that asks for nothing yet, or for what is to be changed."""
    disks, hardware, problem = [], None, None
    if visit.api.may("GET", f"{_ONE}/disks"):
        try:
            disks = visit.api.get(f"{_ONE}/disks", id=str(point.id)).items
            hardware = visit.api.get(f"{_ONE}/hardware", id=str(point.id))
        except RestoriumError as failure:
            problem = failure
    networks = dict.fromkeys(hardware.networks, "") if hardware else {}
    hosts = targets(visit, point.id)
    return visit.again(
        error,
        "point.html",
        point=point,
        disks=disks,
        hardware=hardware,
        problem=problem,
        own=next((host for host in hosts if host.id == point.host_id), None),
        others=[host for host in hosts if host.id != point.host_id],
        form=form if "how" in form else Form.of({"how": BESIDE}),
        networks=networks | networks_of(form),
    )


def _refused(visit: Visit, error: RestoriumError) -> Response:
    form = visit.form if visit.request.method == "POST" else _from_address(visit)
    return _page(visit, _point(visit), form, error)


@retold(_refused, NotFound)
def _confirm(visit: Visit) -> Response:
    """What is about to be done. The key in its form makes a restore that is sent twice one."""
    point = _point(visit)
    asked = as_asked(visit, _from_address(visit), point.host_id)
    fields = fields_of(asked)
    names = {host.id: host.name for host in targets(visit, point.id)}
    return visit.show(
        "restore.html",
        point=point,
        asked=asked,
        host=names.get(asked.host_id or point.host_id, point.host_name),
        fields=fields,
        query=urlencode(fields),
        key=str(uuid4()),
    )


@retold(_refused, NotFound)
def _start(visit: Visit) -> Response:
    asked = as_asked(visit, visit.form, _point(visit).host_id)
    begun = visit.api.post("/restores", asked, key=visit.form["key"] or None)
    return visit.go(f"/sessions/{begun.id}")


@retold(_refused, NotFound)
def _remove(visit: Visit) -> Response:
    visit.api.delete(_ONE, id=str(_point(visit).id))
    return visit.go("/vms", done="removed")


def planned(visit: Visit) -> Any:
    """The lines of a dry run of what the address asks for. Raises InvalidInput, NotFound."""
    return visit.api.post("/restores/plan", as_asked(visit, _from_address(visit), _point(visit).host_id))


def _point(visit: Visit) -> RestorePoint:
    found: RestorePoint = visit.api.get(_ONE, id=visit.place("id"))
    return found


def _from_address(visit: Visit) -> Form:
    return Form(visit.request.url.query.encode())


PAGES = (
    Page("GET", "/points/{id}", _show),
    Page("GET", "/points/{id}/restore", _confirm),
    Page("POST", "/points/{id}/restore", _start),
    Page("POST", "/points/{id}/remove", _remove),
)
