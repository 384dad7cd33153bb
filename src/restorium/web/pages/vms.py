"""VMs that there are restore points of, and the restore points of one."""

from __future__ import annotations

from starlette.responses import Response

from restorium.vocabulary.errors import NotFound
from restorium.web.visit import Page, Visit

_MOST_POINTS = "500"


def _list(visit: Visit) -> Response:
    return visit.show("vms.html", vms=visit.api.get("/vms").items)


def _show(visit: Visit) -> Response:
    host_id, vm_ref = visit.place("host_id"), visit.place("vm_ref")
    asked = {"host_id": host_id, "vm_ref": vm_ref, "limit": _MOST_POINTS}
    points = [point for point in visit.api.get("/restore-points", asked).items if point.vm_ref == vm_ref]
    if not points:
        raise NotFound(
            f"there are no restore points of {vm_ref}", hint="The page of VMs lists all there are."
        )
    return visit.show("vm.html", vm=points[0], points=points)


PAGES = (Page("GET", "/vms", _list), Page("GET", "/vms/{host_id}/{vm_ref:path}", _show))
