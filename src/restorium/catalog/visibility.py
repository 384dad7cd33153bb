"""The restore scope:

which VM-bound rows an account may see, as a condition inside the statement that lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.accounts import Account
from restorium.catalog.tables import account_scopes
from restorium.catalog.types import Guid
from restorium.vocabulary.roles import Role


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whose eyes look. ``account_id`` is None where nothing is hidden."""

    account_id: UUID | None

    @classmethod
    def everything(cls) -> Visibility:
        return cls(None)

    @property
    def parameters(self) -> dict[str, UUID]:
        """What a statement with a condition on the scope is to be run with; nothing where there is none."""
        return {} if self.account_id is None else {ACCOUNT.key: self.account_id}

    @classmethod
    def of(cls, account: Account) -> Visibility:
        """All rows for a Portal Administrator and for accounts that may restore all VMs, else the account's
        scopes.
        """
        unlimited = account.restore_all or Role.PORTAL_ADMINISTRATOR in account.roles
        return cls(None if unlimited else account.id)


WHOLE_HOST = ""
"""The reference that a scope of all of a host's VMs has."""

ACCOUNT = sa.bindparam("visible_to", type_=Guid)


def in_scope(host_id: sa.ColumnElement[Any], vm_ref: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """True where the account bound to ``ACCOUNT`` has a scope on the whole host or on this VM of it."""
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(account_scopes)
        .where(
            account_scopes.c.account_id == ACCOUNT,
            account_scopes.c.host_id == host_id,
            sa.or_(account_scopes.c.vm_ref == WHOLE_HOST, account_scopes.c.vm_ref == vm_ref),
        )
    )


def may_see(connection: Connection, visible: Visibility, host_id: UUID, vm_ref: str) -> bool:
    """Whether that VM of that host is within the scope."""
    if visible.account_id is None:
        return True
    named = in_scope(sa.literal(host_id, Guid), sa.literal(vm_ref, sa.Text))
    return bool(connection.execute(sa.select(named), visible.parameters).scalar_one())
