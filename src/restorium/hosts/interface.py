"""What a hypervisor or image folder is to the rest of the program. One conformance suite holds them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.vocabulary.restore import ANYWHERE, Placement


@dataclass(frozen=True, slots=True)
class Login:
    """How to get into a host. thumbprint: SHA-256 in hex of its certificate, which is trusted unverified then."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    thumbprint: str | None = None


@dataclass(frozen=True, slots=True)
class DiskInfo:
    """One disk of a VM. ``key`` is stable and unique in its VM; ``size`` is the virtual size in bytes."""

    key: str
    size: int
    format: str


@dataclass(frozen=True, slots=True)
class VmInfo:
    """One VM of an inventory. ``ref`` is the host's own stable name of it."""

    ref: str
    name: str
    disks: tuple[DiskInfo, ...]


class Firmware(StrEnum):
    BIOS = "bios"
    UEFI = "uefi"


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card. ``network`` and ``model`` are the host's own words."""

    mac: str | None = None
    network: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """What VMs have on every platform, to make one on another; None and what is not named are unknown.

    buses: by a disk's key, one of ide, sata, scsi, virtio and nvme.
    """

    memory_mib: int | None = None
    cpus: int | None = None
    firmware: Firmware | None = None
    buses: Mapping[str, str] = field(default_factory=dict)
    nics: tuple[Nic, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """What holds VMs or other containers: ``kind`` in the Enterprise Manager API's word, ``ref`` the host's own name of
    it, ``parent`` the ref of what it is in, None directly below the host.
    """

    kind: str
    ref: str
    name: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class VmDescription:
    """What is needed to make the VM again, kept with a restore point.

    settings: JSON in the shape of hosts of that ``kind``, which alone read it. part_of: the vApp that it is one of.
    """

    name: str
    disks: tuple[DiskInfo, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "image-folder"
    hardware: Hardware = field(default_factory=Hardware)
    part_of: Container | None = None


@dataclass(frozen=True, slots=True)
class LocalImage:
    """A disk as a file of this machine. ``format``: one of disks.FORMATS."""

    path: Path
    format: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Backups of one VM that build on each other.

    id: of letters, digits and hyphens, the same for all of them. since: by disk, the ``Tracked.token`` of the last one
    that was kept.
    """

    id: str
    since: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a host says of the changes of one disk.

    token: names the disk as it is read now, so that the next backup can ask what changed since; None where the host
    does not track. changed: what may differ from the state that ``Chain.since`` names, in order of offset; None if
    that is unknown, and then ``why`` says why a token that was given is good no more.
    """

    token: str | None = None
    changed: Sequence[Extent] | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class OpenVm:
    """A VM held still for reading: ``readers[i]`` is the disk ``description.disks[i]``.

    tracked: by the disk's key; a disk that is not named is not tracked.
    """

    description: VmDescription
    readers: Sequence[DiskReader]
    tracked: Mapping[str, Tracked] = field(default_factory=dict)


class RestoreTarget(Protocol):
    """A VM in the making, invisible under its final name until ``finalise``.

    A target is found again after a crash by asking the host for it with the same arguments. Every method may
    be repeated: a step that ran twice leaves what it would have left once.
    """

    def probe(self) -> None:
        """Raise unless images can be made there and be given names; leaves nothing."""
        ...

    def not_carried(self) -> Sequence[str]:
        """What of the description this host cannot give the VM, each a sentence for people."""
        ...

    def free_bytes(self) -> int | None:
        """Room where the disks are written; None where the host cannot tell."""
        ...

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        """A new, empty image under its temporary name, replacing what an earlier attempt left there.

        ``extents`` says which parts will be written, covering the disk.
        """
        ...

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        """The image that an earlier attempt made, with what it flushed; None if none can go on."""
        ...

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        """The image as written, to verify it before it is finalised."""
        ...

    def finalise(self, left_out: Collection[str] = ()) -> str:
        """Give everything its final name, register the VM, and return its ``ref``.

        left_out: keys of disks that the VM is made without, and whose images are removed; its description says so. A
        part of a VM is only ever made beside the original.
        """
        ...

    def finalised(self) -> str | None:
        """The VM's ``ref`` if ``finalise`` has got so far that it stands; nothing takes it back then."""
        ...

    def discard(self) -> None:
        """Remove everything that has no final name yet. The original is as it was."""
        ...


@dataclass(frozen=True, slots=True)
class ServedDisk:
    """A disk of a restore point that this machine serves over NBD, to be read: the export ``name`` at a unix socket."""

    socket: Path
    name: str


@dataclass(frozen=True, slots=True)
class Door:
    """A socket to be. user: the id of who may connect besides root; None for the account of this process alone."""

    socket: Path
    user: int | None = None


class InstantTarget(RestoreTarget, Protocol):
    """A VM that runs before its disks are there: on top of a restore point, which is served meanwhile.

    What the guest writes goes to images of its own. Where a VM that runs can be renamed, they and the VM have temporary
    names as in any restore; elsewhere it has its final name from the start, and only our inventory leaves it out. When
    the server is away for a time, the guest waits for it. Disks are not created, reopened or read here. ``finalise``
    and ``discard`` do with the running VM what they do with a written one: it goes on running, or is powered off and
    removed.
    """

    def door(self, usual: Path) -> Door:
        """Where the disks are to be served: at the socket ``usual``, or where the account that runs the VM comes to."""
        ...

    def start(self, served: Mapping[str, ServedDisk]) -> None:
        """Run the VM; nothing happens if it runs. served: by the disk's key, all of them.

        A VM that ended meanwhile is started again, with what it has written.
        """
        ...

    def moved(self) -> Mapping[str, float]:
        """How much of each disk, by key, is the VM's own, from 0 to 1; begins to move what is not being moved.

        0 where the host cannot tell for now, as of a guest that waits for the server. Raises HostError if a disk cannot
        be moved or the VM does not run.
        """
        ...


class Host(Protocol):
    """One hypervisor or image folder. All methods raise HostError or one of its kind.

    Used by several threads at once and for hours: a connection that was lost, or a session that ran out, is made anew.
    """

    def check(self) -> None:
        """Raise unless the host can be reached and read."""
        ...

    def inventory(self) -> list[VmInfo]: ...

    def open_vm(self, ref: str, chain: Chain | None = None) -> AbstractContextManager[OpenVm]:
        """Hold the VM still and open its disks. Raises VmNotFound, DiskMissing, DiskDamaged.

        A running VM goes on running; what holds its disks still, a snapshot for one, is removed at the end of the block
        whatever happens in it, and what a crash left of an earlier block before it begins. chain: the backup that this
        is for; without one nothing is tracked. That a backup was kept shows in the next one's ``since``: what serves
        other tokens of the chain may be removed then, and not before.
        """
        ...

    def power_on(self, ref: str) -> None:
        """Start the VM; nothing happens if it runs. Raises VmNotFound, Unsupported."""
        ...

    def close(self) -> None:
        """Give back connections. The host is used no more."""
        ...

    def local_images(self, ref: str) -> Sequence[LocalImage] | None:
        """The VM's disks, in its order, as files of this machine; None where they are none. Raises VmNotFound."""
        ...

    def remove_restored(self, ref: str, attempt: str) -> None:
        """Remove the VM that the restore ``attempt`` made, its disks, and what else that restore left.

        What is gone already is no error. Raises Conflict for a VM that it did not make.
        """
        ...

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = ANYWHERE,
    ) -> RestoreTarget:
        """A place to restore to. ``attempt`` names this restore and makes temporary names unique.

        new_name None: over the VM ``original_ref`` (made anew if it is gone). Otherwise beside it, under that
        name. A description of another kind is made from its hardware. placement: only beside, and only where the
        kind ``places``. Raises TargetExists if a VM or file of another origin has the final name, InvalidInput for a
        placement that names what is not there.
        """
        ...


Peers = Callable[[str], Host]
"""The host of this installation with that address. Raises HostError if there is none."""


@runtime_checkable
class InFront(Protocol):
    """A host whose VMs' data lies in other hosts."""

    def reach_by(self, peers: Peers) -> None:
        """Be told how those are found; once, before anything else."""
        ...


@runtime_checkable
class Contains(Protocol):
    """A host whose VMs are in containers that a restore can name."""

    def containers(self) -> Sequence[Container]:
        """All of them, each after what it is in. Raises HostError."""
        ...


@runtime_checkable
class InstantHost(Protocol):
    """What a host offers besides if its kind is ``instant``."""

    def instant_target(
        self, description: VmDescription, *, attempt: str, new_name: str, placement: Placement = ANYWHERE
    ) -> InstantTarget:
        """As ``Host.restore_target`` does for a VM beside the original."""
        ...
