"""NTFS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE
from dissect.ntfs.ntfs import NTFS

from restorium.guest.entries import Facts, Kind
from restorium.guest.posix import instant
from restorium.guest.source import Placed
from restorium.vocabulary.errors import DataCorrupt

_FIRST_OF_USERS = 16
"""Records below it are the file system's own, the root aside."""
_FOLDER = 0x10000000
_REPARSE = 0x400
_ENCRYPTED = 0x4000
_MOST_INDEX_BYTES = 1 << 30


class Ntfs:
    """Handles are numbers of MFT records. See filesystem.FileSystem."""

    folds = True
    root = 5

    def __init__(self, region: Placed) -> None:
        self._region = region
        self._fs = NTFS(region)

    def children(self, folder: int) -> Iterator[tuple[str, Kind, int]]:
        record = self._record(folder)
        index = record.index("$I30")
        stream = index._index_stream
        if not 512 <= index.root.bytes_per_index_buffer <= 1 << 20:
            raise DataCorrupt("a folder's index makes no sense")
        if stream is not None and stream.size > min(_MOST_INDEX_BYTES, self._region.size):
            raise DataCorrupt(f"a folder of {stream.size} bytes is larger than folders are")
        for entry in index.entries():
            name = entry.attribute
            if name is None or name.flags == 2:  # a second, short name for the sake of DOS
                continue
            number = _number(entry.header.FileReference)
            if number >= _FIRST_OF_USERS:
                yield name.file_name, self._kind(name.attr.FileAttributes, number), number

    def identity(self, folder: int) -> int:
        return folder

    def facts(self, entry: int) -> Facts:
        record = self._record(entry)
        standard = record.attributes[ATTRIBUTE_TYPE_CODE.STANDARD_INFORMATION]
        modified = instant(lambda: standard[0].last_modification_time) if standard else None
        size = 0 if record.is_dir() or not record.has_stream() else record.size()
        return Facts(size, modified, self._owner(standard))

    def target(self, link: int) -> str:
        name: str = self._record(link).reparse_point_name
        return name

    def open(self, file: int) -> Any:
        record = self._record(file)
        standard = record.attributes[ATTRIBUTE_TYPE_CODE.STANDARD_INFORMATION]
        flags = standard[0].attr.FileAttributes if standard else 0
        if flags & _ENCRYPTED:
            raise NotImplementedError("encrypted files")
        if record.is_reparse_point():
            raise NotImplementedError(
                "files whose content Windows keeps elsewhere (compressed by it, or in the cloud)"
            )
        return record.open()

    def _kind(self, flags: int, number: int) -> Kind:
        if flags & _REPARSE:
            record = self._record(number)
            if record.is_symlink() or record.is_mount_point():
                return Kind.LINK
        return Kind.FOLDER if flags & _FOLDER else Kind.FILE

    def _owner(self, standard: Any) -> str:
        """The owner's SID; nothing where the volume does not tell."""
        if not standard or self._fs.secure is None:
            return ""
        try:
            return str(self._fs.secure.lookup(standard[0].attr.SecurityId).owner or "")
        except (KeyError, AttributeError, EOFError):
            return ""

    def _record(self, number: int) -> Any:
        return self._fs.mft.get(number)


def _number(reference: Any) -> int:
    return int(reference.SegmentNumberLowPart | (reference.SegmentNumberHighPart << 32))
