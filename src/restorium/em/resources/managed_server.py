"""Managed servers: the hosts as parts of the infrastructure."""

from __future__ import annotations

from restorium.catalog import hosts
from restorium.em.entity import Entity
from restorium.em.members import Alternate, Form, element, related, up
from restorium.em.roles import MONITORS
from restorium.vocabulary.hierarchy import ManagedServerType


class ManagedServer(Entity, plural="ManagedServers", path="managedServers"):
    """A hypervisor or image folder."""

    roles = MONITORS
    rows = hosts.managed_listing
    links = (
        up("BackupServer", "backup_server", form=Form.ENTITY),
        Alternate(),
        related("HierarchyRoot", "host", form=Form.ENTITY),
    )

    description: str = element("Description", query="Description")
    server_type: ManagedServerType = element("ManagedServerType", query="ManagedServerType")
