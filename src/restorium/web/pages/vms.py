"""VMs that there are restore points of, and the restore points of one."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.responses import Response

from restorium.native.vms import ProtectedVm
from restorium.vocabulary.errors import NotFound
from restorium.web.visit import Page, Visit

_NEW_ENOUGH = timedelta(days=2)
_PROVEN_ENOUGH = timedelta(days=30)
_MOST_POINTS = "500"


def risks(vm: ProtectedVm, now: datetime) -> list[str]:
    """Why a VM might not be restored as it is now; nothing if there is no reason to fear it."""
    found = []
    if vm.damaged:
        found.append(f"{vm.damaged} damaged restore points" if vm.damaged > 1 else "a damaged restore point")
    if now - vm.newest_at > _NEW_ENOUGH:
        found.append(f"no restore point for {(now - vm.newest_at).days} days")
    if vm.restored_at is None:
        found.append("never restored")
    elif now - vm.restored_at > _PROVEN_ENOUGH:
        found.append(f"not restored for {(now - vm.restored_at).days} days")
    return found


def _list(visit: Visit) -> Response:
    now = visit.engine.clock.now()
    found = [(vm, risks(vm, now)) for vm in visit.api.get("/vms").items]
    return visit.show("vms.html", vms=found)


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
