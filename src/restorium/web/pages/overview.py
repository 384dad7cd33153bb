"""The first page: what runs, what ran, what failed and why, and what is at risk."""

from __future__ import annotations

from starlette.responses import Response

from restorium.web.pages.repositories import used
from restorium.web.visit import Page, Visit

_MOST_AT_RISK = 20


def _show(visit: Visit) -> Response:
    api = visit.api
    # Those that nothing can be restored of come first.
    at_risk = api.get("/vms/at-risk").items if api.may("GET", "/vms/at-risk") else []
    at_risk.sort(key=lambda vm: vm.newest_at is not None)
    return visit.show(
        "overview.html",
        overview=api.get("/overview"),
        protected=api.may("GET", "/vms") and bool(api.get("/vms").items),
        at_risk=at_risk[:_MOST_AT_RISK],
        more_at_risk=len(at_risk[_MOST_AT_RISK:]),
        repositories=used(visit) if api.may("GET", "/repositories") else None,
    )


PAGES = (Page("GET", "/", _show),)
