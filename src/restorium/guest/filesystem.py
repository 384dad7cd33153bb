"""What each kind of file system offers to the view above it, and how the right one is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from restorium.guest import btrfs, ext, fat, ntfs, xfs
from restorium.guest.entries import Facts, Kind
from restorium.guest.source import Placed

Handle = Any
"""A file system's own name of an entry."""


class FileSystem(Protocol):
    """Called by one thread at a time, inside ``damage.translated``: it may raise whatever dissect does.

    folds: whether names are the same in any case. root: the top folder.
    """

    folds: bool

    @property
    def root(self) -> Handle: ...

    def children(self, folder: Handle) -> Iterator[tuple[str, Kind, Handle]]:
        """A folder's names as they are stored, in no order, without what the file system keeps for itself."""
        ...

    def identity(self, folder: Handle) -> object:
        """Equal for two handles of one folder."""
        ...

    def facts(self, entry: Handle) -> Facts: ...

    def target(self, link: Handle) -> str:
        """Where a link points to."""
        ...

    def open(self, file: Handle) -> Any:
        """A binary file over the content of a file."""
        ...


_KINDS: tuple[tuple[int, bytes, Callable[[Placed], FileSystem]], ...] = (
    (0x438, b"\x53\xef", ext.Ext),
    (0, b"XFSB", xfs.Xfs),
    (0x10040, b"_BHRfS_M", btrfs.Btrfs),
    (3, b"NTFS    ", ntfs.Ntfs),
    (510, b"\x55\xaa", fat.Fat),
)


def detect(region: Placed) -> Callable[[Placed], FileSystem] | None:
    """What reads the file system in a region; None if there is none that is read here."""
    for offset, magic, kind in _KINDS:
        region.seek(offset)
        if region.read(len(magic)) == magic and (kind is not fat.Fat or fat.is_fat(region)):
            return kind
    return None
