"""Raw images: the disk's bytes are the file's. Holes of the file are holes of the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from restorium.disks.files import ImageFile, OpenImage
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged

_NO_MAP = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS}


class RawReader(OpenImage):
    """A raw image."""

    def __init__(self, path: Path) -> None:
        file = ImageFile.to_read(path)
        super().__init__(file, file.length)
        self._image = file

    def extents(self) -> Iterator[Extent]:
        return file_extents(self._image, 0, self._size)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        self.file.read_into(offset, buffer)


class RawWriter(OpenImage):
    """A sparse raw image being written."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.check_inside(offset, len(data))
        self.file.write(offset, data)

    def flush(self) -> None:
        self.file.flush()


def create_raw(path: Path, size: int, _extents: Iterable[Extent] = ()) -> RawWriter:
    """A new image of zeros that takes no room yet, and takes writes anywhere."""
    file = ImageFile.new(path)
    try:
        file.set_length(size)
    except BaseException:
        file.close()
        raise
    return RawWriter(file, size)


def reopen_raw(path: Path, size: int) -> RawWriter:
    """An image made before. Raises DiskDamaged unless it has ``size`` bytes."""
    file = ImageFile.to_write(path)
    if file.length != size:
        file.close()
        raise DiskDamaged(f"{path} has {file.length} bytes, not {size}")
    return RawWriter(file, size)


def file_extents(file: ImageFile, start: int, end: int) -> Iterator[Extent]:
    """The file system's map of these bytes of a file; one extent of data where it keeps none."""
    position = start
    while position < end:
        data = _seek(file, position, os.SEEK_DATA, end)
        if data > position:
            yield Extent(position, data - position, hole=True)
        position = data
        if data < end:
            position = _seek(file, data, os.SEEK_HOLE, end)
            yield Extent(data, position - data, hole=False)


def _seek(file: ImageFile, offset: int, what: int, end: int) -> int:
    """Where data or a hole begins at or after ``offset``; ``end`` if not before."""
    try:
        return min(os.lseek(file.fileno(), offset, what), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end
        if error.errno in _NO_MAP:
            return offset if what == os.SEEK_DATA else end
        raise DiskDamaged(f"{file.path} cannot be read: {error.strerror}") from error
