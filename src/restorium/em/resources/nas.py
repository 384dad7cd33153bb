"""Backups of file servers. There are none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.em.absent import SCHEDULE, SERVER, absent, absent_part
from restorium.em.empty import empty, service
from restorium.em.roles import ADMINISTRATORS, MONITORS

absent("FileServer", "nas/fileServers", plural="FileServers", roles=MONITORS, fields=SERVER)
absent(
    "NASJob",
    "nas/jobs",
    plural="NASJobs",
    roles=ADMINISTRATORS,
    fields={"Description": str, "NextRun": datetime, **SCHEDULE, **SERVER},
    below={
        MONITORS: ["GET backupSessions"],
        ADMINISTRATORS: [
            "GET includes",
            "GET includes/{ID}",
            "POST start",
            "POST stop",
            "POST retry",
            "POST toggleScheduleEnabled",
        ],
    },
)

absent_part(
    "NasObject",
    "NASObjects",
    roles=ADMINISTRATORS,
    fields={
        "UID": str,
        "Name": str,
        "JobUid": UUID,
        "JobName": str,
        "FileServerUid": UUID,
        "FileServerName": str,
        **SERVER,
    },
)

ROUTES = (
    service(
        "nas",
        "NASService",
        "NasService",
        MONITORS,
        [
            ("nas/fileServers", "FileServer"),
            ("nas/jobs", "NASJob"),
            ("nas/backupSessions", "BackupJobSession"),
        ],
    ),
    empty("nas/backupSessions", "BackupJobSession", MONITORS),
)
