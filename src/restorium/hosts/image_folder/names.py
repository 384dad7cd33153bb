"""Which file a restored disk becomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restorium.disks import WRITTEN_FORMATS, detect_format
from restorium.hosts.image_folder.descriptions import SUFFIX, DescribedDisk, Description, read_description
from restorium.hosts.image_folder.folder import inside
from restorium.hosts.interface import DiskInfo
from restorium.vocabulary.errors import RestoriumError

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_KEY = 40


@dataclass(frozen=True, slots=True)
class Place:
    """A disk's final file, relative to the folder. ``replaces``: the original's disk stands there."""

    file: str
    replaces: bool


def written_format(disk: DiskInfo) -> str:
    """The disk's own where images of it are written, else raw."""
    return disk.format if disk.format in WRITTEN_FORMATS else "raw"


def new_places(base: str, disks: Sequence[DiskInfo]) -> list[Place]:
    """``<base>.raw`` for a single disk, ``<base>-<key>.raw`` for several."""
    places: list[Place] = []
    for number, disk in enumerate(disks):
        key = _NOT_IN_NAMES.sub("-", disk.key)[:_LONGEST_KEY]
        stem = base if len(disks) == 1 else f"{base}-{key}"
        place = Place(f"{stem}.{written_format(disk)}", replaces=False)
        places.append(replace(place, file=f"{number}-{place.file}") if place in places else place)
    return places


class Original:
    """The VM that a restore replaces: which of its files belong to it alone."""

    def __init__(self, folder: Path, ref: str, description: Description) -> None:
        self._folder = folder
        self._files = {disk.key: path for disk in description.disks if (path := self._path(disk.file))}
        self._formats = {disk.key: self._format(disk) for disk in description.disks}
        others = set()
        for path in folder.glob(f"*{SUFFIX}"):
            if path.name != f"{ref}{SUFFIX}":
                others |= self._named_by(path)
        self._shared = others

    def places(self, base: str, attempt: str, disks: Sequence[DiskInfo]) -> list[Place]:
        """The original disk's own file where there is one of the same key and format, else a new one."""
        found = []
        for disk, new in zip(disks, new_places(base, disks), strict=True):
            path = self._files.get(disk.key)
            if path is not None and self._can_be_replaced(path, disk):
                found.append(Place(self._relative(path), replaces=True))
            elif (self._folder / new.file).exists():
                stem, _, suffix = new.file.rpartition(".")
                found.append(Place(f"{stem}-{attempt[:8]}.{suffix}", replaces=False))
            else:
                found.append(new)
        return found

    def left_over(self, places: Sequence[Place]) -> list[str]:
        """Its files that the restored VM does not name, and no other VM either."""
        kept = {place.file for place in places}
        files = {self._relative(path) for path in self._files.values() if path not in self._shared}
        return sorted(files - kept)

    def _can_be_replaced(self, path: Path, disk: DiskInfo) -> bool:
        same_storage = path.parent.is_dir() and path.parent.stat().st_dev == self._folder.stat().st_dev
        return same_storage and path not in self._shared and self._formats[disk.key] == written_format(disk)

    def _format(self, disk: DescribedDisk) -> str | None:
        if disk.format is not None:
            return disk.format
        try:
            return detect_format(inside(self._folder, disk.file))
        except RestoriumError:
            return None

    def _path(self, file: str) -> Path | None:
        """The file itself, links followed; None if it is not in the folder."""
        try:
            return inside(self._folder, file).resolve()
        except RestoriumError:
            return None

    def _named_by(self, description: Path) -> set[Path]:
        try:
            disks = read_description(description).disks
        except RestoriumError:
            return set()
        return {path for disk in disks if (path := self._path(disk.file))}

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder.resolve()).as_posix()
