"""Btrfs on one device. The top of the tree is shown, with all subvolumes below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dissect.btrfs.btrfs as reader
from dissect.btrfs.tree import BTree, Cursor

from restorium.guest.entries import Facts, Kind
from restorium.guest.posix import instant
from restorium.guest.source import Placed
from restorium.vocabulary.errors import DataCorrupt

_DEEPEST = 8
_MOST_STEPS = 5_000_000


class _Cursor(Cursor):  # type: ignore[misc]
    """dissect's cursor with an end: nodes come out of its cache, so a loop among them would read nothing."""

    _steps = 0

    def push(self, address: int, initial_index: int = 0) -> None:
        self._steps += 1
        if len(self._path) > _DEEPEST or self._steps > _MOST_STEPS:
            raise DataCorrupt("a tree of the Btrfs file system leads back into itself")
        super().push(address, initial_index)
        if not self._header.nritems:
            raise DataCorrupt("a tree of the Btrfs file system has an empty node")


class _Tree(BTree):  # type: ignore[misc]
    def cursor(self) -> Cursor:
        return _Cursor(self)


reader.BTree = _Tree


class Btrfs:
    """Handles are dissect's inodes. See filesystem.FileSystem."""

    folds = False

    def __init__(self, region: Placed) -> None:
        self._fs = reader.Btrfs(region)
        self.root = self._fs.fs_tree.root

    def children(self, folder: Any) -> Iterator[tuple[str, Kind, Any]]:
        for name, inode in folder.iterdir():
            yield name, Kind.of_mode(inode.type), inode

    def identity(self, folder: Any) -> object:
        return folder.subvolume.objectid, folder.inum

    def facts(self, entry: Any) -> Facts:
        return Facts(entry.size, instant(lambda: entry.mtime), str(entry.uid), entry.mode & 0o7777)

    def target(self, link: Any) -> str:
        if link.size > 4096:
            raise DataCorrupt(f"a link of {link.size} bytes is longer than links are")
        target: str = link.link
        return target

    def open(self, file: Any) -> Any:
        return file.open()
