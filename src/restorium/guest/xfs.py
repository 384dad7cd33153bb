"""XFS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dissect.xfs.xfs import XFS

from restorium.guest.entries import Facts, Kind
from restorium.guest.posix import instant
from restorium.guest.source import Placed
from restorium.vocabulary.errors import DataCorrupt

_MOST_FOLDER_BYTES = 1 << 30


class Xfs:
    """Handles are inode numbers. See filesystem.FileSystem."""

    folds = False

    def __init__(self, region: Placed) -> None:
        self._region = region
        self._fs = XFS(region)
        if not (512 <= self._fs.block_size <= 65536 and self._fs.sb.sb_inodesize):
            raise DataCorrupt("the superblock of the XFS file system makes no sense")
        self.root: int = self._fs.sb.sb_rootino
        self._whole_folders = self._fs.sb.sb_dirblklog == 0

    def children(self, folder: int) -> Iterator[tuple[str, Kind, int]]:
        inode = self._inode(folder)
        if inode.size > min(_MOST_FOLDER_BYTES, self._region.size):
            raise DataCorrupt(f"a folder of {inode.size} bytes is larger than folders are")
        if not self._whole_folders:
            raise NotImplementedError("folder blocks larger than the file system's blocks")
        for entry in inode.iterdir():
            yield entry.filename, Kind.of_mode(entry.filetype), entry.inum

    def identity(self, folder: int) -> int:
        return folder

    def facts(self, entry: int) -> Facts:
        inode = self._inode(entry)
        raw = inode.inode
        return Facts(inode.size, instant(lambda: inode.mtime), str(raw.di_uid), raw.di_mode & 0o7777)

    def target(self, link: int) -> str:
        inode = self._inode(link)
        if inode.size > 4096:
            raise DataCorrupt(f"a link of {inode.size} bytes is longer than links are")
        target: str = inode.link
        return target

    def open(self, file: int) -> Any:
        return self._inode(file).open()

    def _inode(self, number: int) -> Any:
        inode = self._fs.get_inode(number)
        _ = inode.inode  # dissect's data fork exists only once the inode has been read
        return inode
