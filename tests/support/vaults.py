"""Disks in memory, vaults in a folder, and what tests do with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from obstore.store import LocalStore

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord, Key, PointDescription, Storage, Vault

CHUNK = 256 * 1024
KEY = Key.raw(b"not a secret, but as long as one")
CREATED = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


class _Closing:
    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class MemoryDisk(_Closing):
    """A disk to read. ``holes`` are ranges that it declares to be holes; it counts what is read of it."""

    def __init__(self, content: bytes, holes: tuple[range, ...] = ()) -> None:
        self.content = content
        self.read_bytes = 0
        self._lock = threading.Lock()
        self._holes = sorted(holes, key=lambda each: each.start)

    @property
    def size(self) -> int:
        return len(self.content)

    def extents(self) -> Iterator[Extent]:
        position = 0
        for hole in self._holes:
            if hole.start > position:
                yield Extent(position, hole.start - position, hole=False)
            yield Extent(hole.start, len(hole), hole=True)
            position = hole.stop
        if position < self.size:
            yield Extent(position, self.size - position, hole=False)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        assert 0 <= offset <= offset + len(buffer) <= self.size
        buffer[:] = self.content[offset : offset + len(buffer)]
        with self._lock:
            self.read_bytes += len(buffer)


class MemoryTarget(_Closing):
    """A disk to write, which remembers where it was written."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        self.content = bytearray(content or bytes(size))
        self.written: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        assert offset + len(data) <= self.size
        self.content[offset : offset + len(data)] = data
        self.written.append((offset, len(data)))

    def flush(self) -> None:
        return


class CountingStorage(Storage):
    """A local folder that counts the bytes which are read of its packs, and in how many reads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(LocalStore(folder), f"file://{folder}", folder=folder)
        self.read_bytes = 0
        self.reads = 0
        self._lock = threading.Lock()

    def get_range(self, name: str, start: int, length: int) -> memoryview:
        with self._lock:
            self.read_bytes += length
            self.reads += 1
        return super().get_range(name, start, length)


def new_vault(folder: Path, *, key: Key = KEY, quota_bytes: int | None = None) -> Vault:
    """A vault in ``folder/vault`` whose index is in ``folder/cache``."""
    return Vault.create(f"file://{folder}/vault", key, quota_bytes=quota_bytes, cache=folder / "cache")


def open_vault(
    folder: Path, *, key: Key = KEY, quota_bytes: int | None = None, cache: str = "cache"
) -> Vault:
    """The vault that ``new_vault`` made."""
    return Vault.open(f"file://{folder}/vault", key, quota_bytes=quota_bytes, cache=folder / cache)


def back_up(
    vault: Vault,
    disk: MemoryDisk,
    parent: DiskRecord | None = None,
    *,
    changed: list[Extent] | None = None,
    key: str = "disk-0",
    threads: int = 0,
    distrusted: bool = False,
) -> tuple[str, DiskRecord]:
    """A restore point of one disk: its name and the disk's record. distrusted: whether ``changed`` is wrong."""
    with vault.backup(threads) as writer:
        record = writer.write_disk(key, disk, parent, lambda count: None, lambda: False, changed=changed)
        assert bool(writer.distrusted) == distrusted
        return writer.commit(PointDescription({"name": "web"}, CREATED, (record,))), record


def restored(vault: Vault, disk: DiskRecord) -> bytes:
    """The disk's content, by way of a restore."""
    target = MemoryTarget(disk.size)
    vault.restore_disk(disk, target)
    return bytes(target.content)
