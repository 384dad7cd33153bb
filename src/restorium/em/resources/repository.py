"""Repositories."""

from __future__ import annotations

from restorium.catalog import repositories
from restorium.catalog.listing import Row
from restorium.em.call import View
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Down, element
from restorium.em.roles import MONITORS
from restorium.em.values import LONG

_KINDS = {"file": "LinuxLocal", "s3": "AmazonS3Compatible", "gs": "GoogleCloudStorage", "az": "AzureBlob"}


def _kind(row: Row, _view: View) -> str:
    return _KINDS.get(row.url.partition(":")[0], "LinuxLocal")


class Repository(Entity, plural="Repositories", path="repositories"):
    """Where backups are kept. Sizes are -1 where the storage cannot tell."""

    roles = MONITORS
    rows = repositories.listing
    links = (
        BACKUP_SERVER,
        Alternate(),
        Down("backups", "Backup", column="repository_id"),
        Down("replicas", None, empty="Replicas", type="ReplicaReferenceList"),
    )

    capacity_bytes: int = element("Capacity", query="Capacity", codec=LONG)
    free_bytes: int = element("FreeSpace", query="FreeSpace", codec=LONG)
    kind: str = element("Kind", value=_kind)
