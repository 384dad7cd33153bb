"""Accounts: who may log on, as what, and what of the VMs they may see and restore."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows
from restorium.catalog.credentials import UNMATCHABLE, hash_password
from restorium.catalog.filters import storable
from restorium.catalog.rows import Row
from restorium.catalog.surroundings import guard
from restorium.catalog.tables import account_roles, account_scopes, accounts, logon_sessions
from restorium.vocabulary.errors import Conflict, InvalidInput, NotAuthenticated, NotFound
from restorium.vocabulary.roles import Role

_KIND = "account"
_PASSWORD_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Account:
    """``restore_all`` lifts the restore scope."""

    id: UUID
    name: str
    roles: frozenset[Role]
    restore_all: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """One VM that an account may see and restore, or with an empty ``vm_ref`` a whole host."""

    host_id: UUID
    vm_ref: str = ""


def add(
    connection: Connection,
    name: str,
    password: str | None,
    *,
    roles: Collection[Role],
    restore_all: bool = False,
) -> Account:
    """Add an account. Without a password nobody can log on as it until one is set.

    Raises InvalidInput for its name or password, Conflict if the name is taken in any case.
    """
    name = rows.named(_KIND, name)
    values = {
        "name": name,
        "name_key": name.casefold(),
        "password_hash": UNMATCHABLE if password is None else hash_password(_acceptable(password)),
        "restore_all": restore_all,
    }
    row = rows.add(connection, accounts, _KIND, values)
    _insert_roles(connection, row.id, roles)
    return _account(row, roles)


def list_all(connection: Connection) -> list[Account]:
    """All accounts by name."""
    return _read(connection, sa.true())


def get(connection: Connection, account_id: UUID) -> Account:
    """Raises NotFound."""
    return _only(_read(connection, accounts.c.id == account_id), account_id)


def count(connection: Connection) -> int:
    """How many accounts there are."""
    total: int = connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one()
    return total


def remove(connection: Connection, account_id: UUID) -> None:
    """Remove an account and end its logon sessions.

    Raises NotFound, Conflict for the last Portal Administrator.
    """
    _keep_an_administrator(connection, account_id)
    rows.remove(connection, accounts, _KIND, account_id)


def set_password(connection: Connection, account_id: UUID, password: str) -> None:
    """Change a password and end the account's logon sessions. Raises NotFound, InvalidInput."""
    statement = (
        sa.update(accounts)
        .where(accounts.c.id == account_id)
        .values(password_hash=hash_password(_acceptable(password)))
    )
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no account {account_id}")
    connection.execute(sa.delete(logon_sessions).where(logon_sessions.c.account_id == account_id))


def set_roles(connection: Connection, account_id: UUID, roles: Collection[Role]) -> None:
    """Give an account these roles only. Raises NotFound, Conflict for the last Portal Administrator."""
    rows.get(connection, accounts, _KIND, account_id)
    if Role.PORTAL_ADMINISTRATOR not in roles:
        _keep_an_administrator(connection, account_id)
    connection.execute(sa.delete(account_roles).where(account_roles.c.account_id == account_id))
    _insert_roles(connection, account_id, roles)


def give_role(connection: Connection, account_id: UUID, role: Role) -> None:
    """Give an account one role more, or leave it as it is if it has it. Raises NotFound."""
    rows.locked(connection, accounts, _KIND, account_id)
    set_roles(connection, account_id, get(connection, account_id).roles | {role})


def take_role(connection: Connection, account_id: UUID, role: Role) -> None:
    """Take a role from an account. Raises NotFound, also if it has not got it, and Conflict for the last Portal
    Administrator.
    """
    rows.locked(connection, accounts, _KIND, account_id)
    held = get(connection, account_id).roles
    if role not in held:
        raise NotFound(f"account {account_id} is no {role}")
    set_roles(connection, account_id, held - {role})


def scopes(connection: Connection, account_id: UUID) -> list[Scope]:
    """What the account may see and restore, unless it may all."""
    found = connection.execute(
        sa.select(account_scopes.c.host_id, account_scopes.c.vm_ref)
        .where(account_scopes.c.account_id == account_id)
        .order_by(account_scopes.c.host_id, account_scopes.c.vm_ref)
    )
    return [Scope(row.host_id, row.vm_ref) for row in found]


def set_scopes(
    connection: Connection, account_id: UUID, allowed: Iterable[Scope], *, restore_all: bool = False
) -> None:
    """Let an account see and restore these VMs, or all. Raises NotFound."""
    statement = sa.update(accounts).where(accounts.c.id == account_id).values(restore_all=restore_all)
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no account {account_id}")
    connection.execute(sa.delete(account_scopes).where(account_scopes.c.account_id == account_id))
    for scope in set(allowed):
        connection.execute(
            sa.insert(account_scopes).values(
                account_id=account_id, host_id=scope.host_id, vm_ref=scope.vm_ref
            )
        )


def allow(connection: Connection, account_id: UUID, allowed: Iterable[Scope]) -> None:
    """Let an account see and restore these as well. Raises NotFound."""
    account = get(connection, account_id)
    wanted = [*scopes(connection, account_id), *allowed]
    set_scopes(connection, account_id, wanted, restore_all=account.restore_all)


def disallow(connection: Connection, account_id: UUID, scope: Scope) -> None:
    """Take a scope from an account, if it has it."""
    connection.execute(
        sa.delete(account_scopes).where(
            account_scopes.c.account_id == account_id,
            account_scopes.c.host_id == scope.host_id,
            account_scopes.c.vm_ref == scope.vm_ref,
        )
    )


def toggle_restore_all(connection: Connection, account_id: UUID) -> None:
    """Let an account see and restore all VMs, or its scopes only if it may all. Raises NotFound."""
    statement = (
        sa.update(accounts)
        .where(accounts.c.id == account_id)
        .values(restore_all=sa.not_(accounts.c.restore_all))
    )
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no account {account_id}")


def verify(connection: Connection, name: str, password: str, *, address: str) -> Account:
    """The account of that name, in any case, if the password is its own; ``address`` is the client's.

    Takes as long for a name that does not exist. Raises NotAuthenticated, also after too many failures.
    """
    key = name.strip().casefold()
    row = None
    if storable(key):
        row = connection.execute(sa.select(accounts).where(accounts.c.name_key == key)).one_or_none()
    matches = storable(key + password) and guard(connection).matches(
        key, None if row is None else row.password_hash, password, address
    )
    if row is None or not matches:
        raise NotAuthenticated("the name or the password is wrong", hint="Log on with the right ones.")
    return get(connection, row.id)


def called(connection: Connection, name: str) -> str | None:
    """The name, as it was given to it, of the account of that name in any case; None if there is none."""
    key = name.strip().casefold()
    if not storable(key):
        return None
    found: str | None = connection.execute(
        sa.select(accounts.c.name).where(accounts.c.name_key == key)
    ).scalar_one_or_none()
    return found


def _acceptable(password: str) -> str:
    if not 1 <= len(password) <= _PASSWORD_CHARACTERS or not storable(password):
        raise InvalidInput(
            "that cannot be a password", hint=f"Passwords have 1 to {_PASSWORD_CHARACTERS} characters."
        )
    return password


def _read(connection: Connection, where: sa.ColumnElement[bool]) -> list[Account]:
    found = connection.execute(sa.select(accounts).where(where).order_by(accounts.c.name_key)).all()
    held: dict[UUID, set[Role]] = {row.id: set() for row in found}
    for account_id, role in connection.execute(
        sa.select(account_roles.c.account_id, account_roles.c.role)
        .join(accounts, accounts.c.id == account_roles.c.account_id)
        .where(where)
    ):
        held[account_id].add(Role(role))
    return [_account(row, held[row.id]) for row in found]


def _account(row: Row, roles: Iterable[Role]) -> Account:
    return Account(row.id, row.name, frozenset(roles), row.restore_all, row.created_at)


def _only(found: list[Account], account_id: UUID) -> Account:
    if not found:
        raise NotFound(f"there is no account {account_id}")
    return found[0]


def _insert_roles(connection: Connection, account_id: UUID, roles: Iterable[Role]) -> None:
    for role in sorted(set(roles)):
        connection.execute(sa.insert(account_roles).values(account_id=account_id, role=role))


def _keep_an_administrator(connection: Connection, account_id: UUID) -> None:
    """Raise Conflict if no account but this holds the role.

    The rows stay locked, so that two cannot leave at once.
    """
    holders = connection.execute(
        sa.select(account_roles.c.account_id)
        .where(account_roles.c.role == Role.PORTAL_ADMINISTRATOR)
        .with_for_update()
    ).scalars()
    if set(holders) == {account_id}:
        raise Conflict(
            f"account {account_id} is the last {Role.PORTAL_ADMINISTRATOR}",
            hint="Give the role to another account first.",
        )
