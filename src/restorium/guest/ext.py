"""ext2, ext3 and ext4."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from dissect.extfs.c_ext import c_ext
from dissect.extfs.extfs import ExtFS
from dissect.util.stream import RunlistStream

from restorium.guest.entries import Facts, Kind
from restorium.guest.posix import instant
from restorium.guest.source import Region

_DIRECT = 12


class Ext:
    """Handles are inode numbers. See filesystem.FileSystem."""

    folds = False
    root = 2

    def __init__(self, region: Region) -> None:
        self._fs = ExtFS(region)

    def children(self, folder: int) -> Iterator[tuple[str, Kind, int]]:
        inode = self._inode(folder)
        # Only the type in the entry itself: asking the inode for it would read one block a name.
        for entry in inode.iterdir():
            kind = Kind.of_mode(entry.filetype)
            yield entry.filename, kind, entry.inum

    def identity(self, folder: int) -> int:
        return folder

    def facts(self, entry: int) -> Facts:
        inode = self._inode(entry)
        raw = inode.inode
        uid = raw.i_uid | (raw.i_uid_high << 16)
        return Facts(inode.size, instant(lambda: inode.mtime), str(uid), raw.i_mode & 0o7777)

    def target(self, link: int) -> str:
        inode = self._inode(link)
        content: bytes = self.open(link).read(min(inode.size, 4096))
        return content.decode(errors="surrogateescape")

    def open(self, file: int) -> Any:
        inode = self._inode(file)
        inline = inode.inode.i_flags & c_ext.EXT4_INLINE_DATA_FL or Kind.of_mode(inode.filetype) is Kind.LINK
        if inline and inode.size >= 60 and inode.inode.i_flags & c_ext.EXT4_INLINE_DATA_FL:
            raise NotImplementedError("inline data beside the inode")
        if inode.inode.i_flags & c_ext.EXT4_ENCRYPT_FL:
            raise NotImplementedError("encrypted files")
        if inode.inode.i_flags & c_ext.EXT4_EXTENTS_FL or (inline and inode.size < 60):
            return inode.open()
        return RunlistStream(self._fs.fh, self._mapped(inode), inode.size, self._fs.block_size)

    def _inode(self, number: int) -> Any:
        return self._fs.get_inode(number)

    def _mapped(self, inode: Any) -> list[tuple[int | None, int]]:
        """Runs of a file without extents. dissect's own take a missing pointer for block 0 and not for a hole."""
        left = -(-inode.size // self._fs.block_size)
        pointers = struct.unpack("<15I", bytes(inode.inode.i_block))
        runs: list[tuple[int | None, int]] = []
        for place, pointer in enumerate(pointers):
            level = max(place - _DIRECT + 1, 0)
            left = self._add(runs, pointer, level, left)
        return runs

    def _add(self, runs: list[tuple[int | None, int]], pointer: int, level: int, left: int) -> int:
        """Add what a pointer of that level maps, of ``left`` blocks; gives what is left after it."""
        if not left:
            return 0
        a_block = self._fs.block_size // 4
        if level == 0 or pointer == 0:
            count: int = min(a_block**level, left)
            last = runs[-1] if runs else (None, 0)
            follows = (
                last[0] is None if pointer == 0 else last[0] is not None and last[0] + last[1] == pointer
            )
            if runs and follows:
                runs[-1] = (last[0], last[1] + count)
            else:
                runs.append((pointer or None, count))
            return left - count
        self._fs.fh.seek(pointer * self._fs.block_size)
        for below in struct.unpack(f"<{a_block}I", self._fs.fh.read(self._fs.block_size)):
            left = self._add(runs, below, level - 1, left)
        return left
