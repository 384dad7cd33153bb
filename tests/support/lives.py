"""Long lives of one disk, changed and backed up in every way, and what its points must hold."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord
from tests.support.vaults import (
    CHUNK,
    MemoryDisk,
    MemoryTarget,
    back_up,
    new_vault,
    open_vault,
    restored,
)

MOST_BYTES = 40 * CHUNK


class Life:
    """A disk that changes at random and remembers in which of its blocks since the last backup."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.block = self.random.choice([512, 4096, 65536])
        self.content = bytearray(self.random.randbytes(self.random.randrange(MOST_BYTES)))
        self.changed: set[int] = set()

    def change(self) -> None:
        for _ in range(self.random.randrange(1, 5)):
            self.random.choice([self._write, self._zero, self._grow, self._shrink, self._repeat])()

    def holes(self) -> tuple[range, ...]:
        """Some of the zeros, as a host would declare them: never aligned to chunks on purpose."""
        found = []
        position = 0
        while (start := self.content.find(bytes(4096), position)) >= 0:
            end = start
            while end < len(self.content) and self.content[end : end + 512] == bytes(512):
                end += 512
            end = min(end, len(self.content))
            if self.random.random() < 0.7:
                found.append(range(start, end))
            position = end
        return tuple(found)

    def changes(self) -> list[Extent]:
        return [Extent(block * self.block, self.block, hole=False) for block in sorted(self.changed)]

    def _span(self) -> tuple[int, int]:
        start = self.random.randrange(len(self.content) + 1)
        return start, min(self.random.randrange(1, 4 * CHUNK), len(self.content) - start)

    def _put(self, start: int, content: bytes) -> None:
        self.content[start : start + len(content)] = content
        self.changed.update(range(start // self.block, (start + len(content)) // self.block + 1))

    def _write(self) -> None:
        start, length = self._span()
        self._put(start, self.random.randbytes(length))

    def _zero(self) -> None:
        start, length = self._span()
        self._put(start, bytes(length))

    def _repeat(self) -> None:
        (source, length), start = self._span(), self._span()[0]
        self._put(start, bytes(self.content[source : source + min(length, len(self.content) - start)]))

    def _grow(self) -> None:
        more = min(self.random.randrange(1, 4 * CHUNK), MOST_BYTES - len(self.content))
        start = len(self.content)
        self.content += bytes(more)
        self._put(start, self.random.choice([bytes, self.random.randbytes])(more))

    def _shrink(self) -> None:
        del self.content[self.random.randrange(len(self.content) + 1) :]


def live(folder: Path, seed: int, rounds: int) -> int:
    """A life of so many backups, each of which is restored at the end; how many bytes were compared."""
    life = Life(seed)
    vault = new_vault(folder)
    points: list[tuple[str, DiskRecord, bytes]] = []
    parent: DiskRecord | None = None
    for _ in range(rounds):
        disk = MemoryDisk(bytes(life.content), life.holes())
        changed = life.changes() if parent is not None and life.random.random() < 0.5 else None
        name, record = back_up(vault, disk, parent, changed=changed)
        points.append((name, record, disk.content))
        parent = record if life.random.random() < 0.9 else None
        life.changed.clear()
        life.change()
        if life.random.random() < 0.2:
            vault.close()
            vault = open_vault(folder, cache=life.random.choice(["cache", "other"]))
    for name, record, content in points:
        assert vault.point(name).disks == (record,)
        assert restored(vault, record) == content
        check_sparse(vault.extents(record), content)
        target = MemoryTarget(record.size)
        vault.restore_disk(record, target, start=len(content) // 2 // CHUNK * CHUNK)
        assert (
            target.content[len(content) // 2 // CHUNK * CHUNK :]
            == content[len(content) // 2 // CHUNK * CHUNK :]
        )
    assert vault.verify().findings == ()
    vault.close()
    return sum(len(content) for _, _, content in points)


def check_sparse(extents: Iterable[Extent], content: bytes) -> None:
    """Data and holes cover the disk, and a chunk is a hole exactly if it is all zeros."""
    position = 0
    for extent in extents:
        assert extent.offset == position
        position = extent.end
        for start in range(extent.offset, extent.end, CHUNK):
            assert extent.hole == (not any(content[start : min(start + CHUNK, extent.end)]))
    assert position == len(content)
