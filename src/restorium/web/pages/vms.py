"""VMs that there are restore points of, and the restore points of one."""

from __future__ import annotations

from starlette.responses import Response

from restorium.vocabulary.errors import NotFound
from restorium.web.visit import Page, Visit

_POINTS = 100
_DONE = {"removed": "The restore point was removed."}


def _list(visit: Visit) -> Response:
    done = _DONE.get(visit.query.get("done", ""))
    return visit.show("vms.html", vms=visit.api.get("/vms").items, done=done)


def _show(visit: Visit) -> Response:
    host_id, vm_ref = visit.place("host_id"), visit.place("vm_ref")
    found, turn = visit.listed("/restore-points", _POINTS, host_id=host_id, vm_ref=vm_ref)
    points = [point for point in found if point.vm_ref == vm_ref]
    if not points:
        raise NotFound(
            f"there are no restore points of {vm_ref}", hint="The page of VMs lists all there are."
        )
    return visit.show("vm.html", vm=points[0], points=points, turn=turn)


PAGES = (Page("GET", "/vms", _list), Page("GET", "/vms/{host_id}/{vm_ref:path}", _show))
