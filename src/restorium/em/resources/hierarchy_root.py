"""Hierarchy roots: the hosts as the beginnings of references to VMs."""

from __future__ import annotations

from restorium.catalog import hosts
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Form, element, related
from restorium.em.roles import MONITORS
from restorium.vocabulary.hierarchy import HostType


class HierarchyRoot(Entity, plural="HierarchyRoots", path="hierarchyRoots"):
    """A hypervisor or image folder, whose id stands in every reference to its VMs."""

    roles = MONITORS
    rows = hosts.listing
    links = (
        BACKUP_SERVER,
        Alternate(),
        related("ManagedServer", "managed_server", form=Form.ENTITY),
    )

    hierarchy_root_id: str = element("HierarchyRootId", value=lambda row, _view: str(row.id))
    unique_id: str = element("UniqueId", query="UniqueId")
    host_type: HostType = element("HostType", query="HostType")
