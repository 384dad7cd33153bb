"""Names of restored VMs, of the folders that they are written to, and of disks' files."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath

from restorium.hosts.hyperv.machines import FORMAT, KIND
from restorium.hosts.interface import VmDescription

_NOT_IN_FILES = re.compile(r"[^\w .-]+")
_SNAPSHOT = re.compile(r"_[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_OURS = "restorium-"
LONGEST_NAME = 100
_LONGEST_FILE = 80


def temporary_name(attempt: str) -> str:
    """Of the folder of a restore, and of its VM until it is finalised."""
    return f"{_OURS}{attempt}"


def is_of_a_restore(folder: str) -> bool:
    """Whether a restore made the folder."""
    return PureWindowsPath(folder).name.startswith(_OURS)


def folder_of(base: str, attempt: str) -> str:
    return str(PureWindowsPath(base) / temporary_name(attempt))


def disk_files(name: str, description: VmDescription) -> dict[str, str]:
    """Names of the disks' files by key: as they were on Hyper-V, else after the VM."""
    known = description.settings.get("Files", {}) if description.kind == KIND else {}
    files: dict[str, str] = {}
    for disk in description.disks:
        stem = _SNAPSHOT.sub("", str(known.get(disk.key) or f"{name}-{disk.key}"))
        stem = _NOT_IN_FILES.sub("-", stem)[:_LONGEST_FILE].strip(" .") or "disk"
        taken = {file.lower() for file in files.values()}
        file = f"{stem}.{FORMAT}"
        files[disk.key] = f"{len(files)}-{file}" if file.lower() in taken else file
    return files
