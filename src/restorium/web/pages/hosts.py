"""Hosts: all of them, one with its VMs, adding one and changing how it is reached."""

from __future__ import annotations

from starlette.responses import Response

from restorium.native.hosts import Host, HostChanges, HostKind, NewHost
from restorium.vocabulary.errors import InvalidInput, NotFound, RestoriumError
from restorium.web.inventory import asked
from restorium.web.visit import Form, Page, Visit, retold

_ONE = "/hosts/{id}"
_DONE = {
    "added": "The host was added. A job can back up its VMs now.",
    "changed": "The host was reached, and what you changed is kept.",
    "removed": "The host was removed. Nothing on it was touched.",
}


def _list(visit: Visit) -> Response:
    kinds = visit.api.get("/host-kinds").items if visit.api.may("POST", "/hosts") else []
    return visit.show(
        "hosts.html",
        hosts=visit.api.every("/hosts"),
        kinds=kinds,
        done=_DONE.get(visit.query.get("done", "")),
    )


def _new(visit: Visit, error: RestoriumError | None = None) -> Response:
    name = visit.form["kind"] or visit.query.get("kind", "")
    kind: HostKind | None = next(
        (each for each in visit.api.get("/host-kinds").items if each.kind == name), None
    )
    if kind is None:
        raise NotFound(f"there is no kind of host {name!r}", hint="Choose one on the page of hosts.")
    return visit.again(error, "host_new.html", kind=kind, form=visit.form)


@retold(_new)
def _add(visit: Visit) -> Response:
    form = visit.form
    asked_for = NewHost(
        form["name"],
        form["kind"],
        form["address"].strip(),
        form.text("username"),
        form["password"] or None,
        form.text("thumbprint"),
    )
    added = visit.api.post("/hosts", asked_for)
    return visit.go(f"/hosts/{added.id}", done="added")


def _show(visit: Visit, error: RestoriumError | None = None) -> Response:
    host: Host = visit.api.get(_ONE, id=visit.place("id"))
    may_change = visit.api.may("PATCH", _ONE)
    kinds = visit.api.get("/host-kinds").items if may_change else []
    kept = Form.of(
        {
            "name": host.name,
            "address": host.address,
            "username": host.username or "",
            "thumbprint": host.thumbprint or "",
        }
    )
    return visit.again(
        error,
        "host.html",
        host=host,
        kind=next((each for each in kinds if each.kind == host.kind), None),
        offered=asked(visit, host) if visit.api.may("GET", f"{_ONE}/vms") else None,
        form=kept if error is None else visit.form,
        done=_DONE.get(visit.query.get("done", "")),
    )


@retold(_show, NotFound)
def _change(visit: Visit) -> Response:
    """One of its forms; ``what`` says which."""
    host_id, form = visit.place("id"), visit.form
    if form["what"] == "removed":
        visit.api.delete(_ONE, id=host_id)
        return visit.go("/hosts", done="removed")
    if form["what"] != "changed":
        raise InvalidInput(f"{form['what']!r} is nothing to change of a host")
    changes = HostChanges(
        form["name"],
        form["address"].strip(),
        form["username"].strip() if "username" in form else None,
        form["password"] or None,
        form["thumbprint"].strip() if "thumbprint" in form else None,
    )
    visit.api.patch(_ONE, changes, id=host_id)
    return visit.go(f"/hosts/{host_id}", done="changed")


PAGES = (
    Page("GET", "/hosts", _list),
    Page("GET", "/hosts/new", _new),
    Page("POST", "/hosts/new", _add),
    Page("GET", "/hosts/{id}", _show),
    Page("POST", "/hosts/{id}", _change),
)
