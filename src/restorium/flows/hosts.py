"""Adding hosts, and removing them."""

from __future__ import annotations

from uuid import UUID

from restorium import hosts
from restorium.catalog import hosts as rows
from restorium.flows.engine import Engine
from restorium.vocabulary.hierarchy import Platform

# An image folder has no word of its own in the API: docs/decisions/0002-platform-of-an-image-folder.md.
_PLATFORM = Platform.VMWARE


def add(engine: Engine, kind: str, name: str, address: str) -> UUID:
    """Add a host that can be reached and read; gives its id.

    Raises InvalidInput for an unknown kind or a bad name, HostError, and Conflict if the name is taken.
    """
    hosts.open_host(kind, address).check()
    with engine.database.write() as connection:
        row = rows.add(connection, name=name, kind=kind, address=address, platform=_PLATFORM)
    host_id: UUID = row.id
    return host_id


def remove(engine: Engine, host_id: UUID) -> None:
    """Forget a host; nothing on it is touched.

    Raises NotFound, and Conflict while jobs, their sessions or restore points are of its VMs.
    """
    with engine.database.write() as connection:
        rows.remove(connection, host_id)
