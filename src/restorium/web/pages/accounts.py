"""Accounts: who may log on, as what, and what of the VMs they may see and restore."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from restorium.native.accounts import Account, NewAccount, NewPassword, RestoreScope, Roles, Scope
from restorium.vocabulary.errors import InvalidInput, NotFound, RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.roles import Role
from restorium.web.visit import Page, Visit, retold

_DONE = {
    "added": "The account was added.",
    "roles": "The roles were changed.",
    "scope": "The restore scope was changed.",
    "password": "The password was set. Whoever was logged on has to do it again.",
    "removed": "The account was removed.",
}


def _list(visit: Visit, error: RestoriumError | None = None) -> Response:
    values = {
        "accounts": visit.api.get("/accounts").items,
        "roles": list(Role),
        "done": _DONE.get(visit.query.get("done", "")),
        "form": visit.form,
    }
    return visit.again(error, "accounts.html", **values)


@retold(_list)
def _add(visit: Visit) -> Response:
    form = visit.form
    asked = NewAccount(form["name"], form["password"], _roles(visit), restore_all="restore_all" in form)
    added = visit.api.post("/accounts", asked)
    return visit.go(f"/accounts/{added.id}", done="added")


def _show(visit: Visit, error: RestoriumError | None = None) -> Response:
    account = _account(visit)
    hosts = visit.api.every("/hosts")
    values = {
        "subject": account,
        "roles": list(Role),
        "scope": visit.api.get("/accounts/{id}/scope", id=str(account.id)),
        "hosts": {host.id: host.name for host in hosts},
        "vms": visit.api.get("/vms").items,
        "done": _DONE.get(visit.query.get("done", "")),
    }
    return visit.again(error, "account.html", **values)


@retold(_show, NotFound)
def _change(visit: Visit) -> Response:
    """One of its forms; ``what`` says which."""
    account_id, what = visit.place("id"), visit.form["what"]
    if what == "roles":
        visit.api.put("/accounts/{id}/roles", Roles(_roles(visit)), id=account_id)
    elif what == "scope":
        scopes = [_scope(each) for each in visit.form.all("scope")]
        asked = RestoreScope("restore_all" in visit.form, scopes)
        visit.api.put("/accounts/{id}/scope", asked, id=account_id)
    elif what == "password":
        visit.api.put("/accounts/{id}/password", NewPassword(visit.form["password"]), id=account_id)
    elif what == "removed":
        visit.api.delete("/accounts/{id}", id=account_id)
        return visit.go("/accounts", done="removed")
    else:
        raise InvalidInput(f"{what!r} is nothing to change of an account")
    return visit.go(f"/accounts/{account_id}", done=what)


def _account(visit: Visit) -> Account:
    wanted: UUID = parse_guid(visit.place("id"))
    for account in visit.api.get("/accounts").items:
        if account.id == wanted:
            found: Account = account
            return found
    raise NotFound(f"there is no account {wanted}")


def _roles(visit: Visit) -> list[Role]:
    try:
        return [Role(name) for name in visit.form.all("role")]
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def _scope(text: str) -> Scope:
    """``HOST`` or ``HOST/VM``."""
    host_id, _, vm_ref = text.partition("/")
    return Scope(parse_guid(host_id), vm_ref)


PAGES = (
    Page("GET", "/accounts", _list),
    Page("POST", "/accounts", _add),
    Page("GET", "/accounts/{id}", _show),
    Page("POST", "/accounts/{id}", _change),
)
