"""Repositories: how full they are, how they grew, when they were last verified."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from restorium.native.repositories import Repository, RepositoryUse
from restorium.web.charts import Chart, chart
from restorium.web.visit import Page, Visit

_DONE = {
    "added": "The repository was added. A job can back up to it now.",
    "removed": "The repository was removed. What is in it stays where it is.",
}


class Used(NamedTuple):
    """A repository and what is known of what is in it; ``growth`` is None before the second day."""

    repository: Repository
    use: RepositoryUse
    growth: Chart | None


def used(visit: Visit) -> list[Used]:
    """All repositories by name."""
    found = []
    for repository in visit.api.every("/repositories"):
        use: RepositoryUse = visit.api.get("/repositories/{id}/use", id=str(repository.id))
        points = [(day.day.timestamp(), float(day.total_bytes)) for day in use.days]
        found.append(Used(repository, use, chart(points)))
    return found


def _list(visit: Visit) -> Response:
    return visit.show(
        "repositories.html", repositories=used(visit), done=_DONE.get(visit.query.get("done", ""))
    )


PAGES = (Page("GET", "/repositories", _list),)
