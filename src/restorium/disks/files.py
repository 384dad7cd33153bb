"""The file under an image: reads and writes at a place, with errors that name the file."""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from types import TracebackType
from typing import Protocol, Self

from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError, InvalidInput, TargetFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ABSENT = {errno.ENOENT, errno.ENOTDIR}


class BlockFile(Protocol):
    """A file under an image, wherever it is; ``path`` is for messages, ``length`` in bytes.

    Reads and writes name their place and may come from many threads. Errors are those of ``ImageFile``.
    """

    @property
    def path(self) -> PurePath: ...
    @property
    def length(self) -> int: ...
    def read_into(self, offset: int, buffer: memoryview) -> None: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None: ...
    def set_length(self, length: int) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class ImageFile:
    """An open regular file or block device.

    Reads and writes may come from many threads: they name their place, and leave the GIL while the system
    works.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        try:
            # A named pipe must not make us wait for its other end; for files the flag means nothing.
            descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno in _ABSENT:
                raise DiskMissing(f"{path} does not exist") from error
            raise self._failed("be opened", error) from error
        if not _is_image(descriptor):
            os.close(descriptor)
            raise DiskDamaged(f"{path} is neither a file nor a block device")
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.length = self._file.seek(0, os.SEEK_END)

    @classmethod
    def to_read(cls, path: Path) -> ImageFile:
        """Raises DiskMissing, DiskDamaged, and HostError where reading is not allowed."""
        return cls(path, os.O_RDONLY)

    @classmethod
    def to_write(cls, path: Path) -> ImageFile:
        """An existing file."""
        return cls(path, os.O_RDWR)

    @classmethod
    def new(cls, path: Path) -> ImageFile:
        """An empty file in the place of what stands there, which another name or program may still use."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"{path} cannot be replaced: {error.strerror}") from error
        return cls(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def fileno(self) -> int:
        return self._file.fileno()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer``; a file that ends before raises DiskDamaged."""
        done, length = 0, len(buffer)
        while done < length:
            try:
                count = os.preadv(self.fileno(), [buffer[done:]], offset + done)
            except OSError as error:
                raise DiskDamaged(
                    f"{self.path} cannot be read at byte {offset + done}: {error.strerror}"
                ) from error
            if count == 0:
                raise DiskDamaged(f"{self.path} ends at byte {offset + done}, before its disk does")
            done += count

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. The caller has seen to it that the length is a sane one."""
        content = bytearray(length)
        self.read_into(offset, memoryview(content))
        return bytes(content)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """All of ``data``. Raises TargetFull, HostError."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            try:
                done += os.pwrite(self.fileno(), view[done:], offset + done)
            except OSError as error:
                raise self._failed("be written", error) from error

    def set_length(self, length: int) -> None:
        """Grow or cut the file; what is new is a hole."""
        try:
            os.ftruncate(self.fileno(), length)
        except OSError as error:
            raise self._failed(f"grow to {length} bytes", error) from error
        self.length = length

    def flush(self) -> None:
        """What was written survives a power cut. Raises TargetFull, HostError."""
        try:
            os.fdatasync(self.fileno())
        except OSError as error:
            raise self._failed("be flushed", error) from error

    def close(self) -> None:
        self._file.close()

    def _failed(self, what: str, error: OSError) -> HostError | TargetFull:
        message = f"{self.path} cannot {what}: {error.strerror}"
        return TargetFull(message) if error.errno in _FULL else HostError(message)


class OpenDisk(ABC):
    """What readers and writers of a disk have in common. name: for messages; ``size`` in bytes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def check_inside(self, offset: int, length: int) -> None:
        """Raises InvalidInput unless the disk has these bytes."""
        if offset < 0 or offset + length > self._size:
            raise InvalidInput(
                f"bytes {offset} to {offset + length} are not inside {self.name}, which has {self._size}"
            )


class OpenImage(OpenDisk):
    """A disk that is an image in one file."""

    def __init__(self, file: BlockFile, size: int) -> None:
        super().__init__(str(file.path), size)
        self.file = file

    def close(self) -> None:
        self.file.close()


def joined(extents: Iterable[Extent]) -> Iterator[Extent]:
    """The same cover with neighbours of one kind made one."""
    current: Extent | None = None
    for extent in extents:
        if current is not None and current.hole == extent.hole:
            current = Extent(current.offset, current.length + extent.length, extent.hole)
            continue
        if current is not None:
            yield current
        current = extent
    if current is not None:
        yield current


def _is_image(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
