"""Accounts, roles and restore scopes as things to be listed, with the ids that the interface knows them by.

Roles and scopes have no rows of their own: the id of each follows from what it is, so it is the same on every
server and at every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.accounts import Scope
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.tables import account_scopes, accounts, hosts, job_objects, vm_restore_points
from restorium.catalog.types import Guid
from restorium.vocabulary.roles import Role

_NAMESPACE = UUID("8f6b7e0a-4d0c-5a7e-9d55-2a1f0c3b7e11")

ROLES = {uuid5(_NAMESPACE, role): role for role in Role}
"""The roles by their ids."""


def role_id(role: Role) -> UUID:
    """The id of a role."""
    return uuid5(_NAMESPACE, role)


def scope_id(account_id: UUID, scope: Scope) -> UUID:
    """The id of an account's scope."""
    return uuid5(account_id, f"{scope.host_id}.{scope.vm_ref}")


def scopes(connection: Connection, account_id: UUID) -> Sequence[Row]:
    """An account's scopes by host: ``host_id``, ``vm_ref``, ``host_name``, ``platform`` and the ``vm_name``.

    The VM's name is the one that was last backed up, or a job's; None if neither knows it.
    """
    backed_up = (
        sa.select(vm_restore_points.c.vm_name)
        .where(
            vm_restore_points.c.host_id == account_scopes.c.host_id,
            vm_restore_points.c.vm_ref == account_scopes.c.vm_ref,
        )
        .order_by(vm_restore_points.c.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    included = (
        sa.select(sa.func.max(job_objects.c.vm_name))
        .where(
            job_objects.c.host_id == account_scopes.c.host_id, job_objects.c.vm_ref == account_scopes.c.vm_ref
        )
        .scalar_subquery()
    )
    columns: list[sa.ColumnElement[Any]] = [
        account_scopes.c.host_id,
        account_scopes.c.vm_ref,
        hosts.c.name.label("host_name"),
        hosts.c.platform,
        sa.func.coalesce(backed_up, included).label("vm_name"),
    ]
    return connection.execute(
        sa.select(*columns)
        .join(hosts, hosts.c.id == account_scopes.c.host_id)
        .where(account_scopes.c.account_id == account_id)
        .order_by(hosts.c.name, account_scopes.c.vm_ref)
    ).all()


_roles = sa.union_all(
    *(
        sa.select(sa.literal(key, Guid).label("id"), sa.literal(str(role), sa.Text).label("name"))
        for key, role in ROLES.items()
    )
).subquery("roles")

role_listing = Listing({"id": _roles.c.id, "name": _roles.c.name}, _roles)
account_listing = Listing(columns_of(accounts, without={"password_hash", "name_key"}), accounts)
