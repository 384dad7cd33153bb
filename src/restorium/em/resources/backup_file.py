"""Backup files: what one VM restore point added to its repository."""

from __future__ import annotations

from datetime import datetime

from restorium.catalog import points
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Down, element, up
from restorium.em.roles import MONITORS, READERS
from restorium.em.values import LONG, RATIO
from restorium.vocabulary.backups import BackupFileType


class BackupFile(Entity, plural="BackupFiles", path="backupFiles"):
    """A manifest and the sizes behind it."""

    roles = MONITORS
    rows = points.file_listing
    links = (
        up("Backup", "backup", query=("BackupUid", "BackupName")),
        BACKUP_SERVER,
        Alternate(),
        Down(
            "restorePoints",
            "RestorePoint",
            own="restore_point_id",
            rel="Related",
            type="BackupFileReferenceList",
            roles=READERS,
        ),
        Down("vmRestorePoints", "VmRestorePoint", column="backup_file_id"),
    )

    file_path: str = element("FilePath")
    backup_size: int = element("BackupSize", query="BackupSize", codec=LONG)
    data_size: int = element("DataSize", query="DataSize", codec=LONG)
    deduplication_ratio: int = element("DeduplicationRatio", codec=RATIO)
    compress_ratio: int = element("CompressRatio", query="CompressRatio", codec=RATIO)
    created_at: datetime = element("CreationTimeUtc", query="CreationTimeUTC")
    file_type: BackupFileType = element("FileType", query="FileType")
