"""Adding hosts, and removing them."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID

from restorium import hosts
from restorium.catalog import hosts as rows
from restorium.flows.engine import Engine
from restorium.flows.stored_secrets import keep_credentials
from restorium.hosts.interface import Login


def add(engine: Engine, kind: str, name: str, address: str, login: Login | None = None) -> UUID:
    """Add a host that can be reached and read; gives its id.

    Raises InvalidInput for an unknown kind or a bad name, HostError, and Conflict if the name is taken.
    """
    known, login = hosts.kind_of(kind), login or Login()
    with closing(hosts.open_host(kind, address, login, engine.host_at)) as host:
        host.check()
    with engine.database.write() as connection:
        credentials_id = None
        if login.username is not None:
            credentials_id = keep_credentials(
                engine, connection, login.username, f"of the host {name}", login.password or ""
            )
        row = rows.add(
            connection,
            name=name,
            kind=kind,
            address=address,
            platform=known.platform,
            host_type=known.host_type,
            server_type=known.server_type,
            credentials_id=credentials_id,
            thumbprint=login.thumbprint,
        )
    host_id: UUID = row.id
    return host_id


def remove(engine: Engine, host_id: UUID) -> None:
    """Forget a host; nothing on it is touched.

    Raises NotFound, and Conflict while jobs, their sessions or restore points are of its VMs.
    """
    with engine.database.write() as connection:
        rows.remove(connection, host_id)
    engine.forget_host(host_id)
