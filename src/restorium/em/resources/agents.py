"""Backups by agents inside machines. There are none: nothing here speaks with agents yet."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.em.absent import SCHEDULE, SERVER, absent, absent_part
from restorium.em.empty import empty, empty_below, service
from restorium.em.resources.backup import Backup
from restorium.em.resources.backup_job_session import BackupJobSession
from restorium.em.resources.restore_point import RestorePoint
from restorium.em.roles import ADMINISTRATORS, FILE_RESTORERS, MONITORS, READERS

absent(
    "AgentBackupJob",
    "agents/jobs",
    plural="AgentBackupJobs",
    slot="AgentBackupJob",
    roles=ADMINISTRATORS,
    fields={
        "Description": str,
        "JobType": str,
        "Platform": ("AgentForLinux", "AgentForWindows"),
        **SCHEDULE,
        **SERVER,
    },
    below={
        ADMINISTRATORS: [
            "GET includes",
            "GET includes/{ID}",
            "POST ?action=start",
            "POST ?action=stop",
            "POST ?action=retry",
            "POST ?action=toggleScheduleEnabled",
        ]
    },
)
absent(
    "AgentProtectionGroup",
    "agents/protectionGroups",
    plural="AgentProtectionGroups",
    roles=ADMINISTRATORS,
    fields=SERVER,
    below={ADMINISTRATORS: ["GET discoveredComputers"]},
)
absent(
    "DiscoveredComputer",
    "agents/discoveredComputers",
    plural="DiscoveredComputers",
    roles=ADMINISTRATORS,
    fields={
        **SERVER,
        "AgentVersion": str,
        "AgentStatus": str,
        "OsVersion": str,
        "IpAddress": str,
        "ProtectionGroupUid": UUID,
        "ProtectionGroupName": str,
    },
)
absent(
    "AgentRestorePoint",
    "agents/agentRestorePoints",
    plural="AgentRestorePoints",
    roles=MONITORS,
    fields={
        "CreationTime": datetime,
        "ComputerName": str,
        "Type": ("Full", "Increment"),
        "Algorithm": ("Full", "Incremental", "SyntheticFull"),
        "RestorePointId": UUID,
        "RestorePointName": str,
        "BackupUid": UUID,
        "BackupName": str,
        "BackupFileUid": UUID,
        "BackupFileName": str,
        **SERVER,
    },
    below={
        READERS: ["GET mounts/{ID}/{filepath}"],
        FILE_RESTORERS: [
            "GET mounts",
            "POST mounts",
            "GET mounts/{ID}",
            "DELETE mounts/{ID}",
            "POST mounts/{ID}/{filepath}?action=restore",
        ],
    },
)

absent_part(
    "ObjectInAgentBackupJob",
    "ObjectsInAgentBackupJob",
    roles=ADMINISTRATORS,
    fields={
        "UID": str,
        "DisplayName": str,
        "JobUid": UUID,
        "JobName": str,
        "FileServerUid": UUID,
        "FileServerName": str,
        **SERVER,
    },
)

ROUTES = (
    service(
        "agents",
        "Agents",
        "AgentsService",
        READERS,
        [
            ("agents/jobs", "AgentBackupJob"),
            ("agents/protectionGroups", "AgentProtectionGroup"),
            ("agents/discoveredComputers", "DiscoveredComputer"),
            ("agents/backups", "Backup"),
            ("agents/backupFiles", "BackupFile"),
            ("agents/backupSessions", "BackupJobSession"),
            ("agents/restorePoints", "RestorePoint"),
            ("agents/agentRestorePoints", "AgentRestorePoint"),
        ],
    ),
    empty("agents/backups", "Backup", READERS),
    empty("agents/backupFiles", "BackupFile", MONITORS),
    empty("agents/backupSessions", "BackupJobSession", MONITORS),
    empty("agents/restorePoints", "RestorePoint", READERS),
    empty_below(Backup, "childbackups", "Backup", READERS),
    empty_below(BackupJobSession, "agentManagementSessions", "BackupJobSession", MONITORS),
    empty_below(RestorePoint, "agentRestorePoints", "AgentRestorePoint", MONITORS),
)
