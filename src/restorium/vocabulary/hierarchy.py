"""References to objects in a hypervisor's inventory: ``urn:<Platform>:<Type>:<root>.<ref>``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from restorium.vocabulary.errors import InvalidIdentifier
from restorium.vocabulary.ids import parse_guid


class Platform(StrEnum):
    """Platforms that the API has words for, in the order in which it documents them."""

    VMWARE = "VMware"
    HYPERV = "HyperV"
    VCLOUD = "vCloud"


class HostType(StrEnum):
    """What a hierarchy root is."""

    ESX = "ESX"
    VCENTER = "VC"
    ESXI = "ESXi"
    HYPERV = "HvServer"
    HYPERV_CLUSTER = "HvCluster"
    SCVMM = "Scvmm"
    CLOUD_DIRECTOR = "VcdSystem"


class ManagedServerType(StrEnum):
    """What a managed server is; other kinds come before and behind these in the API's list."""

    ESX = "ESX"
    VCENTER = "VC"
    LINUX = "Linux"
    LOCAL = "Local"
    WINDOWS = "Windows"
    ESXI = "ESXi"
    HYPERV = "HvServer"
    HYPERV_CLUSTER = "HvCluster"
    SCVMM = "Scvmm"
    BACKUP_SERVER = "BackupServer"
    SAN = "SanHost"
    SMB = "SmbServer"
    SMB_CLUSTER = "SmbCluster"
    CLOUD_DIRECTOR = "VcdSystem"
    CLOUD = "Cloud"


_REF = re.compile(r"urn:(\w+):(\w+):([0-9a-fA-F-]{36})(?:\.(.+))?", re.DOTALL)
_PLATFORMS = {platform.lower(): platform for platform in Platform}


@dataclass(frozen=True, slots=True)
class HierarchyRef:
    """One object: a VM, a host, a datastore. ``ref`` is the platform's own name of it and may hold dots."""

    platform: Platform
    kind: str
    root: UUID
    ref: str

    def __str__(self) -> str:
        return f"urn:{self.platform}:{self.kind}:{self.root}.{self.ref}"

    @classmethod
    def parse(cls, text: str) -> HierarchyRef:
        """Read a reference; platforms are matched in any case. Raises InvalidIdentifier."""
        match = _REF.fullmatch(text)
        platform = _PLATFORMS.get(match[1].lower()) if match else None
        if match is None or platform is None or match[4] is None:
            raise InvalidIdentifier(
                f"{text!r} is not a hierarchy reference",
                hint="Hierarchy references look like urn:VMware:Vm:<hierarchy root GUID>.<object>.",
            )
        return cls(platform, match[2], parse_guid(match[3]), match[4])
