"""One operation of Restorium's vault on a raw image, as a process of its own, for bench/vault.py to measure.

python -m bench.vault_worker FOLDER create | backup IMAGE | backup-changed IMAGE OFFSETS | restore TARGET |
    read | verify | random-reads
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.vault_image import BLOCK
from restorium import disks
from restorium.disks.interface import Extent
from restorium.vault import Key, PointDescription, Vault

_READS, _WARM_READS, _READ_BYTES = 2000, 200, 4096
_KEY = Key.passphrase("benchmark")


def main(folder: Path, operation: str, *arguments: str) -> None:
    url, cache = f"file://{folder.absolute()}/repository", folder / "cache"
    if operation == "create":
        Vault.create(url, _KEY, cache=cache).close()
        return
    with Vault.open(url, _KEY, cache=cache) as vault:
        if operation == "restore":
            restore(vault, Path(arguments[0]))
        elif operation == "read":
            disk = vault.point(vault.points()[-1]).disks[0]
            vault.restore_disk(disk, Nowhere(disk.size))
        elif operation == "verify":
            findings = vault.verify().findings
            if findings:
                raise SystemExit(str(findings))
        elif operation == "random-reads":
            print(f"{random_reads(vault):.3f}")
        else:
            changed = json.loads(Path(arguments[1]).read_text()) if operation == "backup-changed" else None
            back_up(vault, Path(arguments[0]), changed)


class Nowhere:
    """A disk that keeps nothing of what is written."""

    def __init__(self, size: int) -> None:
        self.size = size

    def write(self, offset: int, data: bytes | memoryview) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def random_reads(vault: Vault) -> float:
    """The 99th percentile, in milliseconds, of reads of 4 KiB all over the disk's data."""
    disk = vault.point(vault.points()[-1]).disks[0]
    data = [extent for extent in vault.extents(disk) if not extent.hole]
    chance = random.Random(4)
    chosen = chance.choices(data, [extent.length for extent in data], k=_WARM_READS + _READS)
    took = []
    for extent in chosen:
        offset = chance.randrange(extent.offset, extent.end - _READ_BYTES) // _READ_BYTES * _READ_BYTES
        started = time.perf_counter()
        vault.read(disk, offset, _READ_BYTES)
        took.append(time.perf_counter() - started)
    return sorted(took[_WARM_READS:])[_READS * 99 // 100] * 1000


def back_up(vault: Vault, image: Path, changed: list[int] | None) -> None:
    points = vault.points()
    parent = vault.point(points[-1]).disks[0] if points else None
    extents = None if changed is None else [Extent(offset, BLOCK, hole=False) for offset in changed]
    with disks.open_disk(image, "raw") as reader, vault.backup() as writer:
        record = writer.write_disk("disk", reader, parent, lambda count: None, lambda: False, changed=extents)
        writer.commit(PointDescription({}, datetime.now(UTC), (record,)))


def restore(vault: Vault, target: Path) -> None:
    disk = vault.point(vault.points()[-1]).disks[0]
    with disks.create_disk(target, disk.size, "raw", vault.extents(disk)) as writer:
        vault.restore_disk(disk, writer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
