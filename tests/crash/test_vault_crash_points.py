"""A backup that dies at each of its steps on the storage in turn: what was there stays, and nothing is in vain."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from restorium.vault import DiskRecord, Storage, Vault, packs
from restorium.vocabulary.errors import StorageUnavailable
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, new_vault, open_vault, restored

SMALL_PACK = 2 * CHUNK
STEPS = ("put", "rename")
OLD = random.Random(1).randbytes(10 * CHUNK)
NEW = OLD[: 4 * CHUNK] + random.Random(2).randbytes(30 * CHUNK)


class Dying:
    """A folder that is cut off at its ``last`` step; of what is being written then, half arrives, or all."""

    def __init__(self, folder: Path, last: int, *, half: bool) -> None:
        self.store = LocalStore(folder)
        self.left = last
        self.half = half
        self.steps = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real = getattr(self.store, name)
        return real if name not in STEPS else lambda *args, **kwargs: self._step(name, real, *args, **kwargs)

    def _step(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.steps += 1
        if self.left <= 0:
            raise OSError(5, "the machine is gone")
        self.left -= 1
        if self.left == 0:
            if name == "put":
                real(args[0], bytes(args[1])[: len(args[1]) // (2 if self.half else 1)], **kwargs)
            elif not self.half:
                real(*args, **kwargs)
            raise OSError(5, "the machine is gone")
        return real(*args, **kwargs)


def dying_vault(folder: Path, last: int, *, half: bool) -> tuple[Vault, Dying]:
    dying = Dying(folder / "vault", last, half=half)
    storage = Storage(dying, "dying", folder=folder / "vault", sleep=lambda seconds: None)
    return Vault.open(storage, KEY, cache=folder / "cache"), dying


def check(folder: Path, old: DiskRecord, points: int) -> None:
    vault = open_vault(folder, cache="fresh")
    assert len(vault.points()) in (points, points + 1)
    for name in vault.points():
        (disk,) = vault.point(name).disks
        assert restored(vault, disk) == (OLD if disk == old else NEW)
    assert vault.verify().findings == ()
    before = vault.usage().stored_bytes
    _, again = back_up(vault, MemoryDisk(NEW), old)
    assert restored(vault, again) == NEW
    # What had arrived is not stored a second time.
    assert vault.usage().stored_bytes - before <= len(NEW) - 4 * CHUNK - (before - len(OLD)) + 20_000
    vault.close()


@pytest.mark.slow
@pytest.mark.parametrize("half", [True, False])
def test_a_backup_may_die_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", SMALL_PACK)
    vault = new_vault(tmp_path)
    _, old = back_up(vault, MemoryDisk(OLD))
    vault.close()
    template = tmp_path.with_name(f"{tmp_path.name}-template")
    tmp_path.rename(template)

    steps = 1
    survived = 0
    while survived < steps:
        shutil.copytree(template, tmp_path)
        dying, _ = dying_vault(tmp_path, survived + 1, half=half)
        with pytest.raises(StorageUnavailable):
            back_up(dying, MemoryDisk(NEW), old)
        dying.close()
        check(tmp_path, old, points=1)
        shutil.rmtree(tmp_path)
        survived += 1
        steps = max(steps, full_steps(template, tmp_path, old))
    assert steps > 30


def full_steps(template: Path, folder: Path, old: DiskRecord) -> int:
    """How many steps a backup takes that nothing stops."""
    shutil.copytree(template, folder)
    vault, store = dying_vault(folder, 10_000, half=False)
    back_up(vault, MemoryDisk(NEW), old)
    vault.close()
    shutil.rmtree(folder)
    return store.steps
