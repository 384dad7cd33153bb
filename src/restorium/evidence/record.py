"""What a record says. docs/evidence.md explains each member; their names and meanings are fixed for version 1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from blake3 import blake3

from restorium.disks.digest import Tree
from restorium.evidence.canonical import canonical

FORMAT: Final = "restorium-evidence"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``version`` is that of the program that made the record."""

    id: UUID
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: UUID
    name: str
    kind: str
    requested_by: str
    requested_from: str | None
    created_at: datetime
    ended_at: datetime
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The restore point. What is null was not known any more when the restore ended."""

    id: UUID | None
    name: str
    vm_name: str
    vm_ref: str
    created_at: datetime | None
    repository: Named | None
    manifest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the VM was restored to. ``restored_ref`` is the host's name of what was made; null if nothing was."""

    host_id: UUID
    host_name: str | None
    keep_original: bool
    new_name: str | None
    quick_rollback: bool
    power_on: bool
    restored_ref: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Sizes in bytes. ``digest`` is that of the disk as it was read back, null if it was not, or not rightly."""

    key: str
    size: int
    data_bytes: int
    result: str
    reason: str | None
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    algorithm: Literal["blake3-tree"] = "blake3-tree"
    part_bytes: Literal[1048576] = 1048576


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: datetime
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``target`` is null for a restore of files, which writes no disks; its events say what was taken."""

    format: Literal["restorium-evidence"] = FORMAT
    version: Literal[1] = VERSION
    key: str
    server: Server
    session: Session
    point: Point
    target: Target | None
    result: str
    reason: Reason | None
    digests: Digests
    disks: list[Disk]
    merkle_root: str | None
    events: list[Event]


def merkle_root(disks: list[Disk]) -> str | None:
    """The root over what is said of the disks; None without any."""
    if not disks:
        return None
    tree = Tree()
    for disk in disks:
        tree.add(blake3(canonical(msgspec.to_builtins(disk))).digest())
    return tree.root().hex()
