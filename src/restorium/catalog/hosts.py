"""Hosts: hypervisors and image folders, each a hierarchy root and a managed server at once."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.listing import Listing, Row, columns_of, optional
from restorium.catalog.surroundings import new_id
from restorium.catalog.tables import (
    credentials,
    drill_plans,
    hosts,
    job_objects,
    jobs,
    task_sessions,
    vm_restore_points,
)
from restorium.catalog.text import guid_text
from restorium.vocabulary.errors import Conflict
from restorium.vocabulary.hierarchy import HostType, ManagedServerType, Platform

_KIND = "host"


def add(
    connection: Connection,
    *,
    name: str,
    kind: str,
    address: str,
    platform: Platform,
    host_type: HostType = HostType.ESXI,
    server_type: ManagedServerType = ManagedServerType.ESXI,
    credentials_id: UUID | None = None,
    thumbprint: str | None = None,
) -> Row:
    """Add a host. Raises InvalidInput for its name, Conflict if that is taken."""
    values = {
        "managed_server_id": new_id(connection),
        "name": rows.named(_KIND, name),
        "kind": kind,
        "address": address,
        "platform": platform,
        "host_type": host_type,
        "server_type": server_type,
        "credentials_id": credentials_id,
        "thumbprint": thumbprint,
    }
    return rows.add(connection, hosts, _KIND, values)


def change(
    connection: Connection,
    host_id: UUID,
    *,
    name: str,
    address: str,
    thumbprint: str | None,
    credentials_id: UUID | None,
) -> None:
    """Raises NotFound, InvalidInput for its name, Conflict if that is taken."""
    values = {
        "name": rows.named(_KIND, name),
        "address": address,
        "thumbprint": thumbprint,
        "credentials_id": credentials_id,
    }
    rows.change(connection, hosts, _KIND, host_id, values)


def get(connection: Connection, host_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, hosts, _KIND, host_id)


def with_logon(connection: Connection, host_id: UUID) -> Row:
    """The host with ``username`` and the sealed ``secret`` of its credentials, both None without. Raises NotFound."""
    statement = (
        sa.select(hosts, credentials.c.username, credentials.c.secret)
        .outerjoin(credentials, credentials.c.id == hosts.c.credentials_id)
        .where(hosts.c.id == host_id)
    )
    found = connection.execute(statement).first()
    return get(connection, host_id) if found is None else found


def list_all(connection: Connection) -> Sequence[Row]:
    """All hosts by name."""
    return connection.execute(sa.select(hosts).order_by(hosts.c.name)).all()


def remove(connection: Connection, host_id: UUID) -> None:
    """Raises NotFound, and Conflict while jobs, their sessions, restore points or drill plans need it."""
    host = rows.locked(connection, hosts, _KIND, host_id)
    job = connection.execute(
        sa.select(jobs.c.name).join(job_objects).where(job_objects.c.host_id == host_id).order_by(jobs.c.name)
    ).first()
    if job is not None:
        raise Conflict(
            f"job {job.name!r} backs up VMs of host {host.name!r}",
            hint="Take them out of the job, or remove the job first.",
        )
    plan = connection.execute(
        sa.select(drill_plans.c.name)
        .where(drill_plans.c.sandbox_host_id == host_id)
        .order_by(drill_plans.c.name)
    ).first()
    if plan is not None:
        raise Conflict(
            f"drill plan {plan.name!r} restores to host {host.name!r}",
            hint="Change or remove the plan first.",
        )
    if rows.exists(connection, vm_restore_points.c.host_id == host_id):
        raise Conflict(
            f"there are restore points of VMs of host {host.name!r}",
            hint="A host stays as long as its VMs can be restored.",
        )
    if rows.exists(connection, task_sessions.c.host_id == host_id):
        raise Conflict(
            f"sessions of jobs name VMs of host {host.name!r}", hint="Remove the jobs that had them first."
        )
    rows.remove(connection, hosts, _KIND, host_id)
    if host.credentials_id is not None:
        rows.remove(connection, credentials, "credentials", host.credentials_id)


_columns = columns_of(hosts) | {
    "unique_id": guid_text(hosts.c.id),
    "managed_server_name": hosts.c.name,
}
listing = Listing(
    _columns | {"username": optional(credentials.c.username)} | servers.PARENT,
    servers.joined(hosts.outerjoin(credentials, credentials.c.id == hosts.c.credentials_id)),
)
managed_listing = Listing(
    _columns
    | {
        "id": hosts.c.managed_server_id,
        "host_id": hosts.c.id,
        "host_name": hosts.c.name,
        "description": hosts.c.kind + sa.literal(" ", sa.Text) + hosts.c.address,
    }
    | servers.PARENT,
    servers.joined(hosts),
)
"""The same rows as managed servers: ``id`` is the managed server's, ``host_id`` the hierarchy root's."""
