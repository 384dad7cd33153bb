"""Values that the interface documents and this server never has, in their place among those that it has.

Filters compare with them by their place, as with all others: ``State>=Pausing`` means what is Stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from restorium.vocabulary.backups import JobType
from restorium.vocabulary.hierarchy import ManagedServerType, Platform
from restorium.vocabulary.sessions import SessionState

DOCUMENTED: Mapping[type[StrEnum], Sequence[str]] = {
    SessionState: ("Starting", "Stopping", "Working", "Pausing", "Resuming", "Stopped"),
    JobType: (
        "Backup",
        "BackupCopy",
        "ImmediateBackupCopy",
        "ImmediateBackupCopyWorker",
        "AgentBackup",
        "AgentManagement",
        "NasBackup",
        "Replica",
    ),
    Platform: ("VMware", "HyperV", "vCloud", "AgentForLinux", "AgentForWindows", "CustomPlatform"),
    ManagedServerType: (
        *ManagedServerType,
        "AzureWinServer",
        "VmSnapshotStorageHost",
        "ConfigurationService",
        "ExternalInfrastructureProxy",
        "NdmpServer",
        "ExternalInfrastructureServer",
    ),
}
"""By the enumeration of what this server has, where that is not all. In the order in which they are documented."""
