"""Where on a VM's disks the file systems are: whole disks, partitions, logical volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dissect.volume.disk import Disk as PartitionedDisk
from dissect.volume.exceptions import DiskError

from restorium.guest import lvm
from restorium.guest.damage import translated
from restorium.guest.filesystem import FileSystem, detect
from restorium.guest.source import Disk, Placed, Region
from restorium.vocabulary.errors import DataCorrupt

_SECTOR = 512
_MOST_VOLUMES = 256
_TABLE_BYTES = 64 << 20
"""What looking through one table may read."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system that has been found, not opened. ``fh`` is its bytes."""

    fh: Any
    kind: Callable[[Any], FileSystem]


def find(disks: Iterable[Disk]) -> list[Volume]:
    """The file systems on a VM's disks, in the order of disks and partitions, logical volumes last.

    Tables that are damaged hide what they would have told.
    """
    regions = [region for disk in disks for region in _regions(disk)]
    found: list[Placed] = [*regions, *lvm.logical(regions)]
    volumes = [Volume(fh, kind) for fh in found if (kind := _detected(fh)) is not None]
    return volumes[:_MOST_VOLUMES]


def _regions(disk: Disk) -> list[Region]:
    """A disk's partitions, or the disk where it has none."""
    disk.budget.allow(_TABLE_BYTES)
    try:
        with translated("the partition table"):
            parts = PartitionedDisk(Region(disk)).partitions
            inside = [region for part in parts if (region := _part(disk, part)) is not None]
            return inside or [Region(disk)]
    except DataCorrupt as error:
        if isinstance(error.__cause__, DiskError):
            return [Region(disk)]
        return []


def _part(disk: Disk, part: Any) -> Region | None:
    """A partition's bytes, as far as the disk has them. dissect leaves out the last sector of those of a GPT."""
    last = getattr(part.raw, "last_lba", None)
    size = part.size if last is None else (last - part.raw.first_lba + 1) * _SECTOR
    return Region(disk, part.offset, size) if 0 < part.offset < disk.size and size > 0 else None


def _detected(fh: Any) -> Callable[[Any], FileSystem] | None:
    try:
        with translated("a volume"):
            return detect(fh)
    except DataCorrupt as error:
        if error.__cause__ is None:  # not of a table that makes no sense, but of the bytes themselves
            raise
        return None
