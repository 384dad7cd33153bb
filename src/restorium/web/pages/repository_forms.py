"""Adding a repository, and one with what was found wrong in it, what opens it, and all that can be done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from starlette.responses import Response

from restorium.native.maintenance import NewVerification, Protection
from restorium.native.repositories import NewRepository, Passphrase, Repository, RepositoryUse
from restorium.vocabulary.errors import InvalidInput, NotFound, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.visit import FieldRefused, Form, Page, Visit, retold
from restorium.web.works import What, Work

_ONE = "/repositories/{id}"
_GIB = 1 << 30
_MOST_DAMAGED = "100"
_DONE = {
    "protection": "The time for which new restore points cannot be deleted was set.",
    "key": "The passphrase was added. It opens the repository beside what did before.",
    "rotated": "The server opens the repository with the new passphrase. The key that it had opens nothing any more.",
    "key-removed": "The key was removed. It opens the repository no more.",
}
_USUAL = {"key": "passphrase"}


def _new(visit: Visit, error: RestoriumError | None = None) -> Response:
    visit.need("POST", "/repositories")
    form = Form.of(_USUAL) if error is None else visit.form
    return visit.again(error, "repository_new.html", form=form)


@retold(_new)
def _add(visit: Visit) -> Response:
    form = visit.form
    key = _passphrase(form) if form["key"] == "passphrase" else None
    gib = form.number("limit", "the limit in GiB", 1)
    limit = None if gib is None else gib * _GIB
    visit.api.post("/repositories", NewRepository(form["name"], _url(form["url"].strip()), key, limit))
    return visit.go("/repositories", done="added")


def _show(visit: Visit, error: RestoriumError | None = None) -> Response:
    visit.need("DELETE", _ONE)
    shown = parts(visit)
    keys, problem = [], None
    try:
        keys = visit.api.get(f"{_ONE}/keys", id=visit.place("id")).items
    except RestoriumError as failure:
        problem = failure
    return visit.again(
        error,
        "repository.html",
        keys=keys,
        problem=problem,
        done=_DONE.get(visit.query.get("done", "")),
        **shown,
    )


def find(visit: Visit) -> Repository:
    """The one that the address names. Raises NotFound."""
    wanted = parse_guid(visit.place("id"))
    found: Repository | None = next(
        (each for each in visit.api.every("/repositories") if each.id == wanted), None
    )
    if found is None:
        raise NotFound(f"there is no repository {wanted}")
    return found


def parts(visit: Visit) -> dict[str, Any]:
    """What the template of what goes on in it and was found of it, and of its live parts, is given. Raises NotFound."""
    # First, so that what is shown as ended shows what came of it: the catalog is told before.
    work = copy(visit.works.last(parse_guid(visit.place("id"))))
    repository = find(visit)
    use: RepositoryUse = visit.api.get(f"{_ONE}/use", id=str(repository.id))
    damaged = []
    if use.damaged_points:
        wanted = {"repository": str(repository.id), "damaged": "true", "limit": _MOST_DAMAGED}
        damaged = visit.api.get("/restore-points", wanted).items
    return {
        "repository": repository,
        "use": use,
        "damaged": damaged,
        "work": work,
        "form": visit.form,
    }


@retold(_show, NotFound)
def _change(visit: Visit) -> Response:
    """One of its forms; ``what`` says which."""
    what = visit.form["what"]
    if what not in _CHANGES:
        raise InvalidInput(f"{what!r} is nothing to change of a repository")
    repository_id = parse_guid(visit.place("id"))
    _CHANGES[what](visit, repository_id)
    if what == "removed":
        return visit.go("/repositories", done=what)
    return visit.go(f"/repositories/{repository_id}", **({"done": what} if what in _DONE else {}))


def _verify(visit: Visit, repository_id: UUID) -> None:
    asked = NewVerification("read_data" in visit.form, "quarantine" in visit.form)
    _begin(visit, repository_id, What.VERIFY, asked)


def _prune(visit: Visit, repository_id: UUID) -> None:
    _begin(visit, repository_id, What.PRUNE)


def _begin(visit: Visit, repository_id: UUID, what: What, body: Any = None) -> None:
    work = Work(what, visit.logon.account.name, visit.engine.clock.now())
    visit.works.begin(
        repository_id, work, lambda: visit.api.post(f"{_ONE}/{what}", body, id=str(repository_id))
    )


def _stop(visit: Visit, repository_id: UUID) -> None:
    visit.need("POST", f"{_ONE}/verify")
    visit.works.stop(repository_id)


def _protect(visit: Visit, repository_id: UUID) -> None:
    days = visit.form.number("days", "days")
    if days is None:
        raise FieldRefused("days", "the number of days is missing", hint="Write 0 for none.")
    visit.api.put(f"{_ONE}/protection", Protection(days), id=str(repository_id))


def _add_key(visit: Visit, repository_id: UUID) -> None:
    visit.api.post(f"{_ONE}/keys", _passphrase(visit.form), id=str(repository_id))


def _rotate(visit: Visit, repository_id: UUID) -> None:
    visit.api.put(f"{_ONE}/key", _passphrase(visit.form, "new_passphrase"), id=str(repository_id))


def _remove_key(visit: Visit, repository_id: UUID) -> None:
    visit.api.delete(f"{_ONE}/keys/{{name}}", id=str(repository_id), name=visit.form["key"])


def _remove(visit: Visit, repository_id: UUID) -> None:
    visit.api.delete(_ONE, id=str(repository_id))


_CHANGES: Mapping[str, Callable[[Visit, UUID], None]] = {
    "verify": _verify,
    "prune": _prune,
    "stop": _stop,
    "protection": _protect,
    "key": _add_key,
    "rotated": _rotate,
    "key-removed": _remove_key,
    "removed": _remove,
}


def _passphrase(form: Form, name: str = "passphrase") -> Passphrase:
    """Typed twice, into ``name`` and the field after it. Raises FieldRefused."""
    if not form[name]:
        raise FieldRefused(
            name, "the passphrase is missing", hint="Write it twice, and keep it in a safe place."
        )
    if form[name] != form[f"{name}_again"]:
        raise FieldRefused(
            f"{name}_again", "the two passphrases are not the same", hint="Write the same twice."
        )
    return Passphrase(form[name])


def _url(text: str) -> str:
    """A folder's path as the address it stands for."""
    return PurePosixPath(text).as_uri() if text.startswith("/") else text


PAGES = (
    Page("GET", "/repositories/new", _new),
    Page("POST", "/repositories/new", _add),
    Page("GET", "/repositories/{id}", _show),
    Page("POST", "/repositories/{id}", _change),
)
