"""Accounts: who may log on, and as what."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import accounts, hosts
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import ADMINISTRATORS
from restorium.vocabulary.roles import Role


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """``restore_all``: whether the account may restore every VM, or only those of its scope."""

    name: str
    password: str
    roles: list[Role]
    restore_all: bool = True


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    password: str


class Roles(msgspec.Struct, forbid_unknown_fields=True):
    roles: list[Role]


class Scope(msgspec.Struct, forbid_unknown_fields=True):
    """One VM, by its host's name of it, or with an empty ``vm_ref`` all VMs of the host."""

    host_id: UUID
    vm_ref: str = ""


class RestoreScope(msgspec.Struct, forbid_unknown_fields=True):
    """What an account may see and restore: everything with ``restore_all``, else what ``scopes`` names."""

    restore_all: bool
    scopes: list[Scope]


class Account(msgspec.Struct):
    id: UUID
    name: str
    roles: list[Role]
    restore_all: bool
    created_at: datetime


def _add(call: Call) -> Account:
    new: NewAccount = call.body
    with call.engine.database.write() as connection:
        added = accounts.add(
            connection, new.name, new.password, roles=frozenset(new.roles), restore_all=new.restore_all
        )
    return show(added, Account)


def _list(call: Call) -> Items[Account]:
    with call.engine.database.read() as connection:
        return Items([show(account, Account) for account in accounts.list_all(connection)])


def _remove(call: Call) -> None:
    with call.engine.database.write() as connection:
        accounts.remove(connection, call.id)


def _set_password(call: Call) -> None:
    new: NewPassword = call.body
    with call.engine.database.write() as connection:
        accounts.set_password(connection, call.id, new.password)


def _set_roles(call: Call) -> Account:
    asked: Roles = call.body
    with call.engine.database.write() as connection:
        accounts.set_roles(connection, call.id, frozenset(asked.roles))
        return show(accounts.get(connection, call.id), Account)


def _scope(call: Call) -> RestoreScope:
    with call.engine.database.read() as connection:
        account = accounts.get(connection, call.id)
        held = accounts.scopes(connection, call.id)
    return RestoreScope(account.restore_all, [Scope(each.host_id, each.vm_ref) for each in held])


def _set_scope(call: Call) -> RestoreScope:
    asked: RestoreScope = call.body
    with call.engine.database.write() as connection:
        for each in asked.scopes:
            hosts.get(connection, each.host_id)
        allowed = [accounts.Scope(each.host_id, each.vm_ref) for each in asked.scopes]
        accounts.set_scopes(connection, call.id, allowed, restore_all=asked.restore_all)
    return asked


OPERATIONS = (
    Operation("GET", "/accounts", _list, ADMINISTRATORS),
    Operation("POST", "/accounts", _add, ADMINISTRATORS, body=NewAccount, status=201),
    Operation("PUT", "/accounts/{id}/password", _set_password, ADMINISTRATORS, body=NewPassword, status=204),
    Operation("PUT", "/accounts/{id}/roles", _set_roles, ADMINISTRATORS, body=Roles),
    Operation("GET", "/accounts/{id}/scope", _scope, ADMINISTRATORS),
    Operation("PUT", "/accounts/{id}/scope", _set_scope, ADMINISTRATORS, body=RestoreScope),
    Operation("DELETE", "/accounts/{id}", _remove, ADMINISTRATORS, status=204),
)
