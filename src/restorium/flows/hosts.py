"""Adding hosts, changing and removing them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from uuid import UUID

from restorium import hosts
from restorium.catalog import hosts as rows
from restorium.catalog import stored_secrets
from restorium.flows.engine import Engine
from restorium.flows.stored_secrets import keep_credentials
from restorium.hosts.interface import Login
from restorium.vocabulary.errors import InvalidInput


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


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a host; what is None stays. An empty thumbprint is none."""

    name: str | None = None
    address: str | None = None
    username: str | None = None
    password: str | None = None
    thumbprint: str | None = None


def change(engine: Engine, host_id: UUID, changes: Changes) -> None:
    """Change a host, which is reached and read as it will be before anything is kept.

    A kept password goes to no other address, to no other certificate and with no other name: whoever changes those
    gives it anew. Raises NotFound, InvalidInput, HostError, and Conflict if the name is taken.
    """
    with engine.database.read() as connection:
        row = rows.with_logon(connection, host_id)
    address = row.address if changes.address is None else changes.address
    username = row.username if changes.username is None else changes.username or None
    thumbprint = row.thumbprint if changes.thumbprint is None else changes.thumbprint or None
    as_before = (address, username, thumbprint) == (row.address, row.username, row.thumbprint)
    if username is not None and changes.password is None and not as_before:
        raise InvalidInput(
            "the password is needed when the address, the user name or the thumbprint changes",
            hint="Give the password again: the one that is kept is sent nowhere else.",
        )
    if not as_before or changes.password is not None:
        login = Login(username, changes.password, thumbprint)
        with closing(hosts.open_host(row.kind, address, login, engine.host_at)) as host:
            host.check()
    with engine.database.write() as connection:
        credentials_id = row.credentials_id
        if username is None:
            credentials_id = None
        elif changes.password is not None:
            credentials_id = keep_credentials(
                engine, connection, username, f"of the host {row.name}", changes.password
            )
        rows.change(
            connection,
            host_id,
            name=row.name if changes.name is None else changes.name,
            address=address,
            thumbprint=thumbprint,
            credentials_id=credentials_id,
        )
        if row.credentials_id not in (None, credentials_id):
            stored_secrets.remove_credentials(connection, row.credentials_id)


def remove(engine: Engine, host_id: UUID) -> None:
    """Forget a host; nothing on it is touched.

    Raises NotFound, and Conflict while jobs, their sessions or restore points are of its VMs.
    """
    with engine.database.write() as connection:
        rows.remove(connection, host_id)
    engine.forget_host(host_id)
