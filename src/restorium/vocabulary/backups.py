"""Kinds of jobs, restore points and backup files, each in the order in which the API documents them."""

from __future__ import annotations

from enum import StrEnum


class JobType(StrEnum):
    BACKUP = "Backup"
    BACKUP_COPY = "BackupCopy"
    IMMEDIATE_BACKUP_COPY = "ImmediateBackupCopy"
    REPLICA = "Replica"


class RunKind(StrEnum):
    """What a job session is: a run of a job, of one VM of it, or a backup or import that belongs to none."""

    JOB = "Job"
    QUICK_BACKUP = "QuickBackup"
    VEEAM_ZIP = "VeeamZip"
    IMPORT = "Import"


class Algorithm(StrEnum):
    """How a restore point came to be."""

    FULL = "Full"
    REVERSED_INCREMENTAL = "ReversedIncremental"
    INCREMENTAL = "Incremental"
    SYNTHETIC_FULL = "SyntheticFull"


class PointType(StrEnum):
    """What a restore point holds."""

    FULL = "Full"
    INCREMENT = "Increment"
    REVERSE_INCREMENT = "ReverseIncrement"


class BackupType(StrEnum):
    """How a backup relates to others."""

    STANDARD = "Standard"
    PARENT = "ParentBackup"
    CHILD = "ChildBackup"


class BackupFileType(StrEnum):
    VBK = "vbk"
    VIB = "vib"
    VRB = "vrb"
