"""Restore points: one moment of one job."""

from __future__ import annotations

from datetime import datetime

from restorium.catalog import points
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Down, element, up
from restorium.em.roles import MONITORS, READERS


class RestorePoint(Entity, plural="RestorePoints", path="restorePoints"):
    """What one run of a job left, of all its VMs."""

    roles = READERS
    rows = points.restore_listing
    links = (
        up("Backup", "backup", query=("BackupUid", "BackupName")),
        BACKUP_SERVER,
        Alternate(),
        Down("vmRestorePoints", "VmRestorePoint", column="restore_point_id", roles=MONITORS),
        Down("vAppRestorePoints", "VAppRestorePoint", column="restore_point_id"),
        Down(
            "backupFiles",
            "BackupFile",
            column="restore_point_id",
            rel="Related",
            type="RestorePointReferenceList",
            roles=MONITORS,
        ),
    )

    created_at: datetime = element("BackupDateUTC", query="CreationTime")
