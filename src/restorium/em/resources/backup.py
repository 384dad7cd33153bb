"""Backups: what one job keeps on one repository."""

from __future__ import annotations

from restorium.catalog import backups
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Down, element, field, up
from restorium.em.roles import READERS
from restorium.em.values import TEXT, uid
from restorium.vocabulary.backups import BackupType
from restorium.vocabulary.hierarchy import Platform


class Backup(Entity, plural="Backups", path="backups"):
    """A job's restore points on one repository."""

    roles = READERS
    rows = backups.listing
    links = (
        up("Repository", "repository", query=("RepositoryUid", "RepositoryName")),
        BACKUP_SERVER,
        Alternate(),
        Down("restorePoints", "RestorePoint", column="backup_id"),
        Down("backupFiles", "BackupFile", column="backup_id", roles=READERS),
    )
    fields = (field("JobUid", "job_id", uid("Job")), field("JobName", "job_name", TEXT))

    platform: Platform = element("Platform", query="Platform")
    backup_type: BackupType = element("BackupType", query="BackupType")
