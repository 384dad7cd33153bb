"""What a prune takes away, what it leaves, and what verification and the next backup do about damage."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from obstore.exceptions import GenericError

from restorium.vault import PrunePolicy, Storage, Vault, stats, survey
from restorium.vocabulary.errors import Cancelled, StorageUnavailable
from tests.support.stores import Objects, Store
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, new_vault, open_vault, restored

NOTHING_WAITS = PrunePolicy(grace=timedelta(), youngest=timedelta(), mark_age=timedelta())
CONTENT = random.Random(1).randbytes(8 * CHUNK)


def pack_files(folder: Path) -> list[Path]:
    return sorted((folder / "vault" / "packs").glob("*/*"))


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_the_room_of_a_deleted_point_comes_back(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    gone, _ = back_up(vault, MemoryDisk(CONTENT))
    _, kept = back_up(vault, MemoryDisk(CONTENT[: 2 * CHUNK]))
    vault.delete_point(gone)
    stored = vault.usage().stored_bytes
    first = vault.prune(NOTHING_WAITS)
    assert (first.removed_packs, first.doomed_packs) == (0, 1)
    second = vault.prune(NOTHING_WAITS)
    assert (second.removed_packs, second.doomed_packs, second.waiting_packs) == (1, 0, 0)
    assert second.removed_bytes > 8 * CHUNK
    assert vault.usage().stored_bytes < 2 * CHUNK + 5000 < stored
    assert restored(vault, kept) == CONTENT[: 2 * CHUNK]
    third = vault.prune(NOTHING_WAITS)
    assert (third.removed_packs, third.doomed_packs, third.copied_bytes) == (0, 0, 0)


@pytest.mark.parametrize("look", [survey, stats], ids=["prune", "stats"])
def test_no_room_for_a_look_at_the_whole_vault_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: ModuleType
) -> None:
    vault = new_vault(tmp_path)
    _, kept = back_up(vault, MemoryDisk(random.Random(2).randbytes(24 * CHUNK)))
    tables = vars(look)["_SCHEMA"]
    monkeypatch.setattr(look, "_SCHEMA", f"PRAGMA page_size = 512; {tables} PRAGMA max_page_count = 1;")
    with pytest.raises(StorageUnavailable, match=r"temporary database .* full") as refused:
        vault.prune(NOTHING_WAITS) if look is survey else vault.stats()
    assert "TMPDIR" in refused.value.hint
    assert vault.missing_chunks(vault.point(vault.points()[0]), kept).chunks == 0


def test_nothing_is_taken_from_what_is_needed_young_or_waiting(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    name, kept = back_up(vault, MemoryDisk(CONTENT))
    for _ in range(3):
        assert vault.prune(NOTHING_WAITS).doomed_packs == 0
    vault.delete_point(name)
    assert vault.prune().doomed_packs == 0  # it is younger than a day
    assert vault.prune(PrunePolicy(youngest=timedelta())).doomed_packs == 1
    assert vault.prune(PrunePolicy(youngest=timedelta())).removed_packs == 0  # the grace period is not over
    # And a backup may come back to it, though not for long.
    again, record = back_up(vault, MemoryDisk(CONTENT))
    for _ in range(3):
        vault.prune(NOTHING_WAITS)
    assert record == kept
    assert restored(open_vault(tmp_path, cache="fresh"), record) == CONTENT
    assert vault.points() == [again]


def test_marks_and_intents_do_not_pile_up(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    for seed in range(5):
        name, _ = back_up(vault, MemoryDisk(random.Random(seed).randbytes(CHUNK)))
        vault.delete_point(name)
        for _ in range(2):
            vault.prune(NOTHING_WAITS)
    back_up(vault, MemoryDisk(CONTENT))
    vault.prune(NOTHING_WAITS)
    assert [path.name for path in (tmp_path / "vault" / "marks").iterdir()] == ["0000000005"]
    assert list((tmp_path / "vault" / "intents").iterdir()) == []


def test_while_a_points_table_is_lost_nothing_is_removed(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    gone, _ = back_up(vault, MemoryDisk(CONTENT))
    broken, _ = back_up(vault, MemoryDisk(b"other"))
    vault.delete_point(gone)
    manifest = tmp_path / "vault" / "points" / broken
    flip(manifest, 100)
    before = pack_files(tmp_path)
    for _ in range(2):
        report = vault.prune(NOTHING_WAITS)
        assert [name for name, _ in report.unreadable] == [f"points/{broken}"]
    assert pack_files(tmp_path) == before
    vault.delete_point(broken)
    (tmp_path / "vault" / "intents" / broken).unlink(missing_ok=True)
    for _ in range(2):
        vault.prune(NOTHING_WAITS)
    assert pack_files(tmp_path) == []


def test_an_index_that_lies_costs_no_data(tmp_path: Path) -> None:
    import sqlite3

    vault = new_vault(tmp_path)
    _, kept = back_up(vault, MemoryDisk(CONTENT))
    vault.close()
    (index,) = (tmp_path / "cache").glob("*.index")
    database = sqlite3.connect(index)
    with database:
        # As if the pack held other chunks, which nobody needs.
        database.execute("UPDATE chunks SET id = randomblob(32) WHERE kind = 0")
    database.close()
    with open_vault(tmp_path) as vault:
        for _ in range(3):
            vault.prune(NOTHING_WAITS)
    assert restored(open_vault(tmp_path, cache="fresh"), kept) == CONTENT


def test_a_prune_tells_how_far_it_is_and_stops_when_asked(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    for seed in range(3):
        back_up(vault, MemoryDisk(random.Random(seed).randbytes(CHUNK)))
    told: list[tuple[str, int, int]] = []
    vault.prune(NOTHING_WAITS, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "points"][-1] == ("points", 2, 3)
    with pytest.raises(Cancelled):
        vault.prune(NOTHING_WAITS, cancelled=lambda: True)


def test_a_damaged_chunk_is_healed_by_the_next_backup_that_has_it(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    name, disk = back_up(vault, MemoryDisk(CONTENT))
    (pack,) = pack_files(tmp_path)
    flip(pack, 32 + 2 * (CHUNK + 16) + 1000)
    report = vault.verify(quarantine=True)
    assert report.quarantined == 1
    (check,) = report.checks
    assert check.name == name
    (problem,) = check.problems
    assert problem.startswith(f"disk 'disk-0', bytes {2 * CHUNK} to {3 * CHUNK}: 1 chunks are damaged")
    # An increment that is told nothing has changed reads the lost part all the same.
    _, again = back_up(vault, MemoryDisk(CONTENT), disk, changed=[])
    assert again == disk
    for folder in ("cache", "fresh"):
        with open_vault(tmp_path, cache=folder) as opened:
            assert restored(opened, disk) == CONTENT
            healed = opened.verify()
            assert healed.findings == ()
            assert all(check.problems == () for check in healed.checks)
    for _ in range(2):
        vault.prune(NOTHING_WAITS)
    assert pack not in pack_files(tmp_path)
    assert restored(open_vault(tmp_path, cache="last"), disk) == CONTENT


def test_damage_that_nobody_can_heal_stays_told_and_costs_the_rest_nothing(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    back_up(vault, MemoryDisk(CONTENT))
    _, other = back_up(vault, MemoryDisk(CONTENT[: 2 * CHUNK]))
    (pack, _) = sorted(pack_files(tmp_path), key=lambda path: -path.stat().st_size)
    flip(pack, 32 + 5 * (CHUNK + 16) + 1000)
    vault.verify(quarantine=True)
    for _ in range(3):
        assert vault.prune(NOTHING_WAITS).lost_chunks == 1
    report = vault.verify()
    assert [bool(check.problems) for check in report.checks].count(True) == 1
    assert restored(vault, other) == CONTENT[: 2 * CHUNK]


def test_a_verification_by_index_finds_a_pack_that_is_gone_or_short(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    name, _ = back_up(vault, MemoryDisk(CONTENT))
    (pack,) = pack_files(tmp_path)
    assert vault.verify(read_data=False).findings == ()
    content = pack.read_bytes()
    flip(pack, 5000)
    assert vault.verify(read_data=False).findings == ()  # which only reading tells
    pack.write_bytes(content[:-1])
    assert [finding.subject for finding in vault.verify(read_data=False).findings] == [f"points/{name}"]
    pack.unlink()
    assert [finding.subject for finding in vault.verify(read_data=False).findings] == [f"points/{name}"]


class Unreadable(Store):
    """Reads of names that hold ``word`` fail ``times`` times."""

    word = "nothing"
    times = 0

    def get_range(self, path: str, **options: Any) -> bytes:
        if self.word in path and self.times > 0:
            self.times -= 1
            raise GenericError("Input/output error (os error 5)")
        return super().get_range(path, **options)


@pytest.fixture
def unreadable(tmp_path: Path) -> tuple[Vault, Unreadable]:
    store = Unreadable(Objects())
    storage = Storage(store, "memory", sleep=lambda seconds: None)
    return Vault.create(storage, KEY, cache=tmp_path), store


@pytest.mark.parametrize("times", [2, 10**9])
def test_an_input_output_error_is_never_taken_for_damage(
    unreadable: tuple[Vault, Unreadable], times: int
) -> None:
    vault, store = unreadable
    _, disk = back_up(vault, MemoryDisk(CONTENT))
    (store.word,) = {path for path in store.objects.held if path.startswith("packs/")}
    store.times = times
    report = vault.verify(quarantine=True)
    assert report.quarantined == 0
    assert all(finding.transient for finding in report.findings)
    assert bool(report.findings) == (times > 2)
    assert [path for path in store.objects.held if path.startswith("marks/")] == []
    store.times = times
    if times > 2:
        with pytest.raises(StorageUnavailable):
            restored(vault, disk)
    store.times = 0
    assert restored(vault, disk) == CONTENT
    assert vault.verify().findings == ()


def test_a_storage_that_is_gone_ends_a_verification_and_a_prune(unreadable: tuple[Vault, Unreadable]) -> None:
    vault, store = unreadable
    for seed in range(6):
        back_up(vault, MemoryDisk(random.Random(seed).randbytes(CHUNK)))
    store.word, store.times = "packs/", 10**9
    for work in (vault.verify, vault.prune):
        with pytest.raises(StorageUnavailable):
            work()


def damaged_copies(folder: Path) -> list[tuple[str, Callable[[], None]]]:
    """A bit flip in each class of bytes: what it is in, and how to do it."""
    (pack,) = pack_files(folder)
    size = pack.stat().st_size
    (manifest,) = (folder / "vault" / "points").iterdir()
    footer = 16 + 42 * 10
    places = [
        ("pack header", pack, 3),
        ("pack id", pack, 20),
        ("record", pack, 40),
        ("tag of a record", pack, 32 + CHUNK),
    ]
    places += [("table chunk", pack, size - 12 - footer - 20), ("footer", pack, size - 12 - footer + 30)]
    places += [
        ("tag of the footer", pack, size - 13),
        ("footer length", pack, size - 12),
        ("trailer", pack, size - 1),
    ]
    places += [("manifest header", manifest, 2), ("manifest salt", manifest, 20), ("manifest", manifest, 60)]
    places += [("tag of the manifest", manifest, manifest.stat().st_size - 1)]
    places += [("configuration", folder / "vault" / "config", 300)]
    return [(what, lambda path=path, at=at: flip(path, at)) for what, path, at in places]  # type: ignore[misc]


@pytest.mark.slow
def test_a_bit_flip_in_every_class_of_bytes_is_found(tmp_path: Path) -> None:
    """By a verification and, but for the configuration with its copy and the pack's header, by a restore (R6)."""
    with new_vault(tmp_path) as vault:
        name, _ = back_up(vault, MemoryDisk(CONTENT))
    keep = tmp_path.with_name(f"{tmp_path.name}-keep")
    shutil.copytree(tmp_path, keep)
    unneeded = {"pack header", "pack id", "configuration"}
    for number, (what, _) in enumerate(damaged_copies(tmp_path)):
        shutil.rmtree(tmp_path)
        shutil.copytree(keep, tmp_path)
        damaged_copies(tmp_path)[number][1]()
        with open_vault(tmp_path, cache=f"other {number}") as vault:
            assert vault.verify().findings, what
            try:
                content = restored(vault, vault.point(name).disks[0])
            except Exception as error:  # noqa: BLE001
                assert type(error).__name__ in {"DataCorrupt", "ChunkMissing"}, what
                assert what not in unneeded
            else:
                assert what in unneeded, what
                assert content == CONTENT
