"""Checkpoints: libvirt's name for persistent dirty bitmaps, one in each qcow2 disk, all of which gather what changes.

One is made at each backup of a chain and named ``restorium-<chain>-<random>``. A disk's token is the checkpoint's name
and the disk's size, for a bitmap tells nothing certain of a disk that was made larger or smaller.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4
from xml.sax.saxutils import quoteattr

from restorium.hosts.interface import Chain
from restorium.hosts.libvirt.domains import Disk, Domain
from restorium.hosts.libvirt.virsh import Virsh

RAW = "its format keeps no record of changes"
SNAPSHOTS = "its VM has internal snapshots, to which QEMU does not go back while changes are recorded"


@dataclass(frozen=True, slots=True)
class Token:
    checkpoint: str
    size: int

    def __str__(self) -> str:
        return f"{self.checkpoint}@{self.size}"

    @classmethod
    def parse(cls, text: str) -> Token | None:
        checkpoint, _, size = text.rpartition("@")
        return cls(checkpoint, int(size)) if checkpoint and size.isdigit() else None

    def why_not(self, size: int) -> str | None:
        """Why it says nothing of a disk that has so many bytes now."""
        return (
            None if size == self.size else f"it had {self.size} bytes at the last backup and has {size} now"
        )


def prefix(chain: Chain) -> str:
    return f"restorium-{chain.id}-"


def new_name(chain: Chain) -> str:
    return f"{prefix(chain)}{uuid4().hex[:12]}"


def since(chain: Chain | None) -> dict[str, Token]:
    """By disk, where the chain's last backup left off."""
    tokens = {} if chain is None else {key: Token.parse(text) for key, text in chain.since.items()}
    return {key: token for key, token in tokens.items() if token is not None}


def not_needed(chain: Chain, names: Collection[str]) -> list[str]:
    """Those of the chain that its last kept backup does not name."""
    kept = {token.checkpoint for token in since(chain).values()}
    return [name for name in _of_chain(chain, names) if name not in kept]


def forget_old(virsh: Virsh, domain: Domain, chain: Chain) -> bool:
    """Remove those of the chain that nothing needs; gives whether the VM can have a new one."""
    has_snapshots = bool(virsh.lines("snapshot-list", str(domain.uuid), "--internal", "--name"))
    names = listed(virsh, domain.uuid)
    for name in _of_chain(chain, names) if has_snapshots else not_needed(chain, names):
        forget(virsh, domain.uuid, name)
    return not has_snapshots and any(can_track(disk) for disk in domain.disks)


def listed(virsh: Virsh, domain: UUID) -> list[str]:
    return virsh.lines("checkpoint-list", str(domain), "--name")


def _of_chain(chain: Chain, names: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith(prefix(chain))]


def forget(virsh: Virsh, domain: UUID, name: str) -> None:
    """Remove it with its bitmaps; where these are lost already, libvirt's own note of it."""
    if not virsh.works("checkpoint-delete", str(domain), name):
        virsh.works("checkpoint-delete", str(domain), name, "--metadata")


def document(name: str, disks: Collection[Disk], more: str = "") -> str:
    """The XML of a checkpoint of those disks that can have one. more: further elements."""
    entries = "".join(
        f"<disk name={quoteattr(disk.target)} checkpoint='{'bitmap' if can_track(disk) else 'no'}'/>"
        for disk in disks
    )
    return f"<domaincheckpoint><name>{name}</name>{more}<disks>{entries}</disks></domaincheckpoint>"


def can_track(disk: Disk) -> bool:
    return disk.format == "qcow2"
