"""A backup and a restore of a made-up disk in a process of their own, whose peak of memory is then known.

python -m tests.support.memory_child FOLDER SIZE [STEP]: prints the peak of resident memory in bytes. STEP: bytes from
one block of data to the next, with a hole between them; without it all is data.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from restorium.disks.interface import Extent
from restorium.vault import Key, PointDescription, Vault

_BLOCK = 256 * 1024


class NumberedDisk:
    """Every block of data holds its own number over and over: no two are alike, and all compress to little."""

    def __init__(self, size: int, step: int) -> None:
        self.size = size
        self.data_bytes = size // step * _BLOCK
        self._step = step

    def extents(self) -> Iterator[Extent]:
        for start in range(0, self.size, self._step):
            yield Extent(start, _BLOCK, hole=False)
            if self._step > _BLOCK:
                yield Extent(start + _BLOCK, self._step - _BLOCK, hole=True)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for start in range(0, len(buffer), _BLOCK):
            block, place = buffer[start : start + _BLOCK], offset + start
            number = 0 if place % self._step else place // _BLOCK + 1
            block[:] = number.to_bytes(8, "little") * (len(block) // 8)

    def close(self) -> None:
        pass

    def __enter__(self) -> NumberedDisk:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class CountingTarget(NumberedDisk):
    """Takes what is written and keeps only how much it was."""

    written = 0

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.written += len(data)

    def flush(self) -> None:
        pass


def main(folder: Path, size: int, step: int = _BLOCK) -> None:
    with Vault.create(f"file://{folder}/vault", Key.raw(bytes(32)), cache=folder / "cache") as vault:
        with vault.backup(threads=2) as writer:
            disk = writer.write_disk("disk", NumberedDisk(size, step), None, lambda _: None, lambda: False)
            writer.commit(PointDescription({}, datetime.now(UTC), (disk,)))
        target = CountingTarget(size, step)
        vault.restore_disk(disk, target, threads=1)
        vault.verify_disk(disk, NumberedDisk(size, step), threads=2)
    assert target.written == target.data_bytes
    # Not getrusage: its peak is that of whoever started this process, if that was larger.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
