"""Accounts: who may log on, and as what."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import accounts
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


OPERATIONS = (
    Operation("GET", "/accounts", _list, ADMINISTRATORS),
    Operation("POST", "/accounts", _add, ADMINISTRATORS, body=NewAccount, status=201),
    Operation("PUT", "/accounts/{id}/password", _set_password, ADMINISTRATORS, body=NewPassword, status=204),
    Operation("DELETE", "/accounts/{id}", _remove, ADMINISTRATORS, status=204),
)
