"""A backup, a prune or a change of keys that dies at each of its steps on the storage in turn.

What was there stays, whatever arrived is of use, and doing it again works.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from restorium.vault import DiskRecord, Key, PrunePolicy, Storage, Vault, packs
from restorium.vocabulary.errors import StorageUnavailable, WrongKey
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, new_vault, open_vault, restored

SMALL_PACK = 2 * CHUNK
STEPS = ("put", "rename", "delete")
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
            elif name == "delete" or not self.half:
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


NOTHING_WAITS = PrunePolicy(grace=timedelta(), youngest=timedelta(), mark_age=timedelta())
SECOND = Key.raw(b"another key, of more than 32 bytes")


def kill_at_each_step(
    template: Path,
    folder: Path,
    work: Callable[[Vault], object],
    check_after: Callable[[], None],
    *,
    half: bool,
) -> int:
    """Do the work on a copy of the template, cut off at each step in turn, and check; how many steps there were."""
    shutil.copytree(template, folder)
    vault, whole = dying_vault(folder, 10_000, half=half)
    work(vault)
    vault.close()
    for step in range(1, whole.steps + 1):
        shutil.rmtree(folder)
        shutil.copytree(template, folder)
        dying, _ = dying_vault(folder, step, half=half)
        with suppress(StorageUnavailable):  # what only tidies up may be left to the next time
            work(dying)
        dying.close()
        check_after()
    shutil.rmtree(folder)
    return whole.steps


def pruned_vault(folder: Path) -> dict[str, bytes]:
    """Four points of which two are deleted again, and what the others hold."""
    vault = new_vault(folder)
    contents: dict[str, bytes] = {}
    for seed in range(4):
        content = OLD[: 3 * CHUNK] + random.Random(10 + seed).randbytes(24 * CHUNK)
        # They share some chunks, so that some packs are left nearly empty.
        for at in range(3, 27, 8):
            shared = random.Random(at).randbytes(CHUNK)
            content = content[: at * CHUNK] + shared + content[(at + 1) * CHUNK :]
        contents[back_up(vault, MemoryDisk(content))[0]] = content
    for name in list(contents)[::2]:
        vault.delete_point(name)
        del contents[name]
    vault.close()
    return contents


@pytest.mark.slow
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("run", ["dooming", "removing"])
def test_a_prune_may_die_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, half: bool
) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 3 * CHUNK)
    contents = pruned_vault(tmp_path)
    if run == "removing":
        with open_vault(tmp_path) as vault:
            vault.prune(NOTHING_WAITS)
    template = tmp_path.with_name(f"{tmp_path.name}-template")
    tmp_path.rename(template)

    def check_points() -> None:
        with open_vault(tmp_path, cache="fresh") as vault:
            assert set(vault.points()) == set(contents)
            assert vault.verify().findings == ()
        with open_vault(tmp_path) as vault:
            for _ in range(2):
                vault.prune(NOTHING_WAITS)
            assert vault.prune(NOTHING_WAITS).waiting_packs == 0
            for name, content in contents.items():
                assert restored(vault, vault.point(name).disks[0]) == content

    steps = kill_at_each_step(
        template, tmp_path, lambda vault: vault.prune(NOTHING_WAITS), check_points, half=half
    )
    assert steps >= 4


@pytest.mark.slow
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("change", ["rotate", "add", "remove"])
def test_a_change_of_keys_may_die_at_any_step(tmp_path: Path, change: str, half: bool) -> None:
    """The vault opens with the key from before or with the one from after, and so it does by its copy."""
    vault = new_vault(tmp_path)
    _, disk = back_up(vault, MemoryDisk(OLD))
    if change == "remove":
        Vault.keys(f"file://{tmp_path}/vault", KEY).add(SECOND)
    vault.close()
    template = tmp_path.with_name(f"{tmp_path.name}-template")
    tmp_path.rename(template)

    def work(vault: Vault) -> None:
        keys = Vault.keys(vault._storage, KEY)
        match change:
            case "rotate":
                keys.rotate(SECOND)
            case "add":
                keys.add(SECOND)
            case "remove":
                keys.remove(keys.all()[1].name)

    def check_keys() -> None:
        for spare in (False, True):
            if spare:
                (tmp_path / "vault" / "config").unlink()
            opened = [key for key in (KEY, SECOND) if opens(tmp_path, key)]
            assert opened
            assert KEY in opened or change == "rotate"
            with open_vault(tmp_path, key=opened[0]) as vault:
                assert restored(vault, disk) == OLD

    assert kill_at_each_step(template, tmp_path, work, check_keys, half=half) >= 4


def opens(folder: Path, key: Key) -> bool:
    try:
        open_vault(folder, key=key).close()
    except WrongKey:
        return False
    return True
