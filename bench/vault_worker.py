"""One operation of Restorium's vault on a raw image, as a process of its own, for bench/vault.py to measure.

python -m bench.vault_worker FOLDER create | backup IMAGE | backup-changed IMAGE OFFSETS | restore TARGET
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.vault_image import BLOCK
from restorium import disks
from restorium.disks.interface import Extent
from restorium.vault import Key, PointDescription, Vault

_KEY = Key.passphrase("benchmark")


def main(folder: Path, operation: str, *arguments: str) -> None:
    url, cache = f"file://{folder.absolute()}/repository", folder / "cache"
    if operation == "create":
        Vault.create(url, _KEY, cache=cache).close()
        return
    with Vault.open(url, _KEY, cache=cache) as vault:
        if operation == "restore":
            restore(vault, Path(arguments[0]))
        else:
            changed = json.loads(Path(arguments[1]).read_text()) if operation == "backup-changed" else None
            back_up(vault, Path(arguments[0]), changed)


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
