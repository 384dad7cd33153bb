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
from restorium.guest.source import Placed
from restorium.vocabulary.errors import DataCorrupt

_DIRECT = 12
_INSIDE = 60
_KINDS = {1: Kind.FILE, 2: Kind.FOLDER, 7: Kind.LINK}


class Ext:
    """Handles are inode numbers. See filesystem.FileSystem."""

    folds = False
    root = 2

    def __init__(self, region: Placed) -> None:
        self._fs = ExtFS(region)

    def children(self, folder: int) -> Iterator[tuple[str, Kind, int]]:
        """As dissect lists a folder, but for what it passes over: the last inode, and the rest of a damaged block."""
        inode = self._inode(folder)
        block_size, stream = self._fs.block_size, self.open(folder)
        for _ in range(-(-inode.size // block_size)):
            block = stream.read(block_size)
            place = 0
            while place + 8 <= len(block):
                number, length, name_length, kind = struct.unpack_from("<IHBB", block, place)
                if length in (0, 65535) and block_size == 65536:
                    length = block_size
                if length < 8 or place + length > block_size:
                    raise DataCorrupt(f"a folder has an entry of {length} bytes")
                if number and name_length:
                    name = block[place + 8 : place + 8 + name_length].decode(errors="surrogateescape")
                    yield name, self._kind(kind, number), number
                place += length

    def _kind(self, written: int, number: int) -> Kind:
        """From the entry, for asking the inode would read a block a name; file systems of old have it only there."""
        if self._fs.sb.s_feature_incompat & c_ext.EXT2_FEATURE_INCOMPAT_FILETYPE and written:
            return _KINDS.get(written, Kind.OTHER)
        return Kind.of_mode(self._inode(number).inode.i_mode)

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
        kind, flags = Kind.of_mode(inode.inode.i_mode), inode.inode.i_flags
        if flags & c_ext.EXT4_ENCRYPT_FL:
            raise NotImplementedError("encrypted files")
        if flags & c_ext.EXT4_INLINE_DATA_FL and (kind is not Kind.FILE or inode.size >= _INSIDE):
            raise NotImplementedError("folders and larger files inside inodes")
        inside = flags & c_ext.EXT4_INLINE_DATA_FL or (kind is Kind.LINK and inode.size < _INSIDE)
        if inside or flags & c_ext.EXT4_EXTENTS_FL:
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
