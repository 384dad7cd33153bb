"""FAT12, FAT16 and FAT32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dissect.fat.exceptions import InvalidBPB
from dissect.fat.fat import FATFS, validate_bpb

from restorium.guest.entries import Facts, Kind
from restorium.guest.posix import instant
from restorium.guest.source import Placed
from restorium.vocabulary.errors import DataCorrupt

_MARK_BITS = {12: 12, 16: 16, 32: 28}
_MOST_FOLDER_BYTES = 65536 * 32
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10


def is_fat(region: Placed) -> bool:
    """Whether a boot sector describes a FAT; its signature alone is that of every boot sector."""
    region.seek(0)
    try:
        validate_bpb(region.read(512))
    except (InvalidBPB, EOFError):
        return False
    return True


class Fat:
    """Handles are dissect's entries. Times are the VM's local ones, taken for UTC. See filesystem.FileSystem."""

    folds = True

    def __init__(self, region: Placed) -> None:
        self._fs = FATFS(region)
        self._bits = self._fs.fat.bits_per_entry
        self._fs.fat.runlist = self._runs
        self.root = self._fs.root

    def children(self, folder: Any) -> Iterator[tuple[str, Kind, Any]]:
        if folder.size > _MOST_FOLDER_BYTES:
            raise DataCorrupt(f"a folder of {folder.size} bytes is larger than folders are")
        for entry in folder.iterdir():
            if not entry.is_volume_id():
                kind = Kind.FOLDER if entry.is_directory() else Kind.FILE
                yield _name(entry), kind, entry
        folder._entries = None  # dissect keeps every entry it has seen

    def identity(self, folder: Any) -> object:
        return folder.cluster

    def facts(self, entry: Any) -> Facts:
        size = 0 if entry.is_directory() else entry.size
        return Facts(size, None if entry is self.root else instant(lambda: entry.mtime))

    def target(self, link: Any) -> str:
        raise DataCorrupt("FAT has no links")

    def open(self, file: Any) -> Any:
        return file.open()

    def _runs(self, cluster: int) -> Iterator[tuple[int, int]]:
        """A chain as runs. dissect's own follows a loop for ever, and makes a run of every cluster."""
        mark = (1 << _MARK_BITS[self._bits]) - 8
        start, count = cluster, 1
        for _ in range(self._fs.fat.entry_count):
            if not 2 <= cluster < self._fs.fat.entry_count:
                raise DataCorrupt(f"a chain of clusters leads to cluster {cluster}, which there is not")
            following = self._fs.fat.get(cluster)
            if following >= mark:
                yield start - 2, count
                return
            if following == start + count:
                count += 1
            else:
                yield start - 2, count
                start, count = following, 1
            cluster = following
        raise DataCorrupt("a chain of clusters comes back to itself")


def _name(entry: Any) -> str:
    """A name that is short is stored in capitals, with two bits for what of it was not."""
    name: str = entry.name
    if entry.ldirents:
        return name
    base, dot, extension = name.partition(".")
    flags = entry.dirent.DIR_NTRes
    return (
        (base.lower() if flags & _LOWER_BASE else base)
        + dot
        + (extension.lower() if flags & _LOWER_EXTENSION else extension)
    )
