"""What the readers that stand on dissect.hypervisor share.

dissect keeps a place in its file: one thread reads at a time. It is never given a path, so that it opens no
file of its own choice, and whatever it makes of a damaged image comes out as DiskDamaged.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from restorium.disks.files import BlockFile
from restorium.vocabulary.errors import DiskDamaged, RestoriumError

FLATTEN = "Make a copy without snapshots, for example with qemu-img convert -O qcow2 OLD NEW."


class Stream(io.RawIOBase):
    """An image's file as dissect wants it: with a place, and without a name."""

    def __init__(self, file: BlockFile) -> None:
        self._file = file
        self._place = 0

    def read(self, count: int = -1) -> bytes:
        left = max(self._file.length - self._place, 0)
        content = self._file.read(self._place, left if count < 0 else min(count, left))
        self._place += len(content)
        return content

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.length}[whence]
        self._place = origin + place
        return self._place

    def tell(self) -> int:
        return self._place


class Sectors:
    """Bytes by way of a function that reads whole sectors."""

    def __init__(self, path: PurePath, read: Callable[[int, int], bytes], sector: int) -> None:
        self._path = path
        self._read = read
        self._sector = sector
        self.lock = threading.Lock()

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Raises DiskDamaged."""
        if not len(buffer):
            return
        first, inside = divmod(offset, self._sector)
        count = -(-(inside + len(buffer)) // self._sector)
        with self.lock, damage(self._path, f"at byte {offset} of its disk"):
            content = self._read(first, count)
        if len(content) != count * self._sector:
            raise DiskDamaged(f"{self._path} ends before byte {offset + len(buffer)} of its disk")
        buffer[:] = memoryview(content)[inside : inside + len(buffer)]


@contextmanager
def damage(path: PurePath, where: str) -> Iterator[None]:
    """Errors of dissect become DiskDamaged."""
    try:
        yield
    except RestoriumError:
        raise
    except Exception as error:
        raise DiskDamaged(f"{path} cannot be understood {where}: {error!r}") from error
