"""The first page: what runs, what ran, what failed and why, and what is at risk."""

from __future__ import annotations

from starlette.responses import Response

from restorium.native.vms import VmAtRisk
from restorium.web.pages.repositories import used
from restorium.web.pages.vms import risks
from restorium.web.visit import Page, Visit

_MOST_AT_RISK = 20


def _show(visit: Visit) -> Response:
    api, now = visit.api, visit.engine.clock.now()
    vms = api.get("/vms").items if api.may("GET", "/vms") else []
    at_risk = [(vm, found) for vm in vms if (found := risks(vm, now))]
    return visit.show(
        "overview.html",
        overview=api.get("/overview"),
        vms=len(vms),
        at_risk=at_risk[:_MOST_AT_RISK],
        never_backed_up=_never_backed_up(visit),
        more_at_risk=len(at_risk[_MOST_AT_RISK:]),
        repositories=used(visit) if api.may("GET", "/repositories") else None,
    )


def _never_backed_up(visit: Visit) -> list[VmAtRisk]:
    """VMs of jobs that there is no restore point of."""
    if not visit.api.may("GET", "/vms/at-risk"):
        return []
    return [vm for vm in visit.api.get("/vms/at-risk").items if vm.newest_at is None]


PAGES = (Page("GET", "/", _show),)
