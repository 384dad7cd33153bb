"""Where the images of a restored VM go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from restorium.hosts.image_folder.names import new_places
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.libvirt.domains import Domain, parse, read_domain
from restorium.hosts.libvirt.machines import KIND
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import HostError, VmNotFound

_USUAL_POOL = "default"
_WRITTEN = ("qcow2", "raw")


@dataclass(frozen=True, slots=True)
class Place:
    """One disk's final image. replaces: that of the original stands there."""

    path: Path
    format: str
    replaces: bool


def written(disk: DiskInfo) -> DiskInfo:
    """The disk in the format in which its image is made: its own where QEMU runs VMs from it, else qcow2."""
    return disk if disk.format in _WRITTEN else replace(disk, format="qcow2")


class Places:
    """original: the VM that is replaced; None for one made beside others or anew."""

    def __init__(self, virsh: Virsh, description: VmDescription, base: str, original: Domain | None) -> None:
        self._virsh = virsh
        self._disks = [written(disk) for disk in description.disks]
        self._base = base
        self._old = (
            {disk.target: disk for disk in original.disks if disk.path} if original is not None else {}
        )
        self._usual = self._usual_folder(description)

    @property
    def folders(self) -> list[Path]:
        """All that a restore may have put something into."""
        homes = [self.home(disk.key) for disk in self._disks]
        others = [disk.path.parent for disk in self._old.values() if disk.path is not None]
        return list(dict.fromkeys([*homes, *others, self._usual]))

    def home(self, key: str) -> Path:
        """The folder of the disk's image: that of the original's where there is one."""
        old = self._old.get(key)
        return (
            old.path.parent
            if old is not None and old.path is not None and old.path.parent.is_dir()
            else self._usual
        )

    def final(self, attempt: str, shared: set[Path]) -> dict[str, Place]:
        """By disk. shared: images that other VMs have too, which are not replaced."""
        places = {}
        for disk, named in zip(self._disks, new_places(self._base, self._disks), strict=True):
            old = self._old.get(disk.key)
            if (
                old is not None
                and old.path is not None
                and old.format == disk.format
                and old.path not in shared
            ):
                places[disk.key] = Place(old.path, disk.format, replaces=True)
                continue
            path = self.home(disk.key) / named.file
            if self._old and path.exists():
                path = path.with_name(f"{path.stem}-{attempt[:8]}{path.suffix}")
            places[disk.key] = Place(path, disk.format, replaces=False)
        return places

    def left_over(self, places: Sequence[Place], shared: set[Path]) -> list[Path]:
        """Images of the original that the restored VM has no use for."""
        kept = {place.path for place in places} | shared
        return [disk.path for disk in self._old.values() if disk.path is not None and disk.path not in kept]

    def _usual_folder(self, description: VmDescription) -> Path:
        """Where the VM's first disk was, else libvirt's usual pool, else any pool of files."""
        had = description.settings.get("folder") if description.kind == KIND else None
        if isinstance(had, str) and had.startswith("/") and Path(had).is_dir():
            return Path(had)
        folders = pool_folders(self._virsh)
        if not folders:
            raise HostError(
                f"libvirt at {self._virsh.address} has no storage pool of files",
                hint="Make one: virsh pool-define-as default dir --target /var/lib/libvirt/images.",
            )
        return folders[0]


def pool_folders(virsh: Virsh) -> list[Path]:
    """Of the pools that are folders of this machine, the usual one first."""
    names = virsh.lines("pool-list", "--all", "--name")
    found = []
    for name in sorted(names, key=lambda name: name != _USUAL_POOL):
        pool = parse(virsh.run("pool-dumpxml", name))
        folder = pool.findtext("target/path") or ""
        if pool.get("type") in ("dir", "fs", "netfs") and Path(folder).is_dir():
            found.append(Path(folder))
    return found


def images_of_others(virsh: Virsh, uuid: UUID | None = None) -> set[Path]:
    """Images of all VMs but this one."""
    found: set[Path] = set()
    for other in virsh.names():
        if other != uuid:
            try:
                found.update(
                    disk.path for disk in read_domain(virsh, str(other)).disks if disk.path is not None
                )
            except VmNotFound:
                continue
    return found
