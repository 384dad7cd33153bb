"""Repositories: how full they are, how they grew, when they were last verified; adding and changing one."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from starlette.responses import Response

from restorium.native.maintenance import Protection
from restorium.native.repositories import NewRepository, Passphrase, Repository, RepositoryUse
from restorium.vocabulary.errors import InvalidInput, NotFound, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.charts import Chart, chart
from restorium.web.visit import Form, Page, Visit

_ONE = "/repositories/{id}"
_GIB = 1 << 30
_DONE = {
    "added": "The repository was added. A job can back up to it now.",
    "protection": "The time for which new restore points cannot be deleted was set.",
    "key": "The passphrase was added. It opens the repository beside what did before.",
    "removed": "The repository was removed. What is in it stays where it is.",
}
_USUAL = {"key": "passphrase"}


class Used(NamedTuple):
    """A repository and what is known of what is in it; ``growth`` is None before the second day."""

    repository: Repository
    use: RepositoryUse
    growth: Chart | None


def used(visit: Visit) -> list[Used]:
    """All repositories by name."""
    found = []
    for repository in visit.api.every("/repositories"):
        use: RepositoryUse = visit.api.get(f"{_ONE}/use", id=str(repository.id))
        points = [(day.day.timestamp(), float(day.total_bytes)) for day in use.days]
        found.append(Used(repository, use, chart(points)))
    return found


def _list(visit: Visit) -> Response:
    return visit.show(
        "repositories.html", repositories=used(visit), done=_DONE.get(visit.query.get("done", ""))
    )


def _new(visit: Visit, error: RestoriumError | None = None) -> Response:
    visit.need("POST", "/repositories")
    form = Form.of(_USUAL) if error is None else visit.form
    return visit.again(error, "repository_new.html", form=form)


def _add(visit: Visit) -> Response:
    form = visit.form
    try:
        key = _passphrase(form) if form["key"] == "passphrase" else None
        gib = form.number("limit", "the limit in GiB", 1)
        limit = None if gib is None else gib * _GIB
        visit.api.post("/repositories", NewRepository(form["name"], _url(form["url"].strip()), key, limit))
    except RestoriumError as error:
        return _new(visit, error)
    return visit.go("/repositories", done="added")


def _show(visit: Visit, error: RestoriumError | None = None) -> Response:
    visit.need("DELETE", _ONE)
    repository_id = parse_guid(visit.place("id"))
    found = next((each for each in visit.api.every("/repositories") if each.id == repository_id), None)
    if found is None:
        raise NotFound(f"there is no repository {repository_id}")
    keys, problem = [], None
    try:
        keys = visit.api.get(f"{_ONE}/keys", id=str(repository_id)).items
    except RestoriumError as failure:
        problem = failure
    return visit.again(
        error,
        "repository.html",
        repository=found,
        keys=keys,
        problem=problem,
        form=visit.form,
        done=_DONE.get(visit.query.get("done", "")),
    )


def _change(visit: Visit) -> Response:
    """One of its forms; ``what`` says which."""
    repository_id, form = visit.place("id"), visit.form
    what = form["what"]
    try:
        if what == "protection":
            days = form.number("days", "days")
            if days is None:
                raise InvalidInput("the number of days is missing", hint="Write 0 for none.")
            visit.api.put(f"{_ONE}/protection", Protection(days), id=repository_id)
        elif what == "key":
            visit.api.post(f"{_ONE}/keys", _passphrase(form), id=repository_id)
        elif what == "removed":
            visit.api.delete(_ONE, id=repository_id)
            return visit.go("/repositories", done="removed")
        else:
            raise InvalidInput(f"{what!r} is nothing to change of a repository")
    except NotFound:
        raise
    except RestoriumError as error:
        return _show(visit, error)
    return visit.go(f"/repositories/{repository_id}", done=what)


def _passphrase(form: Form) -> Passphrase:
    """Typed twice. Raises InvalidInput."""
    if not form["passphrase"]:
        raise InvalidInput("the passphrase is missing", hint="Write it twice, and keep it in a safe place.")
    if form["passphrase"] != form["passphrase_again"]:
        raise InvalidInput("the two passphrases are not the same", hint="Write the same twice.")
    return Passphrase(form["passphrase"])


def _url(text: str) -> str:
    """A folder's path as the address it stands for."""
    return PurePosixPath(text).as_uri() if text.startswith("/") else text


PAGES = (
    Page("GET", "/repositories", _list),
    Page("GET", "/repositories/new", _new),
    Page("POST", "/repositories/new", _add),
    Page("GET", "/repositories/{id}", _show),
    Page("POST", "/repositories/{id}", _change),
)
