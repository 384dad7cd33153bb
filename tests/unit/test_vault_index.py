"""The local index is a cache: lost, stale, foreign or damaged, it never changes what a vault holds."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from restorium.vault import DiskRecord
from restorium.vocabulary.errors import StorageUnavailable
from tests.support.vaults import CHUNK, MemoryDisk, back_up, new_vault, open_vault, restored

CONTENT = random.Random(3).randbytes(12 * CHUNK)


@pytest.fixture
def disk(tmp_path: Path) -> DiskRecord:
    vault = new_vault(tmp_path)
    record = back_up(vault, MemoryDisk(CONTENT))[1]
    vault.close()
    return record


def index_file(folder: Path) -> Path:
    (found,) = (folder / "cache").glob("*.index")
    return found


def check(folder: Path, disk: DiskRecord) -> None:
    """The disk restores, and a further backup of it finds everything there."""
    vault = open_vault(folder)
    assert restored(vault, disk) == CONTENT
    stored = vault.usage().stored_bytes
    _, again = back_up(vault, MemoryDisk(CONTENT))
    assert again == disk
    assert vault.usage().stored_bytes == stored
    vault.close()


def test_without_its_index_a_vault_is_whole(tmp_path: Path, disk: DiskRecord) -> None:
    index_file(tmp_path).unlink()
    check(tmp_path, disk)


@pytest.mark.parametrize("content", [b"", b"nonsense " * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_an_index_that_is_no_database_is_made_anew(tmp_path: Path, disk: DiskRecord, content: bytes) -> None:
    index_file(tmp_path).write_bytes(content)
    check(tmp_path, disk)


def test_an_index_cut_short_or_overwritten_in_part_is_made_anew(tmp_path: Path, disk: DiskRecord) -> None:
    whole = index_file(tmp_path).read_bytes()
    assert len(whole) > 3 * 4096
    for page in range(len(whole) // 4096):
        index_file(tmp_path).write_bytes(whole[: page * 4096])
        check(tmp_path, disk)
        start = page * 4096 + 200 * (page == 0)
        index_file(tmp_path).write_bytes(whole[:start] + b"\xa5" * 3000 + whole[start + 3000 :])
        check(tmp_path, disk)


def test_an_index_damaged_while_in_use_is_made_anew(tmp_path: Path, disk: DiskRecord) -> None:
    vault = open_vault(tmp_path)
    path = index_file(tmp_path)
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (path.stat().st_size - 4096))
    assert restored(vault, disk) == CONTENT
    _, again = back_up(vault, MemoryDisk(CONTENT[CHUNK:]))
    assert restored(vault, again) == CONTENT[CHUNK:]


def test_an_index_that_cannot_be_made_anew_is_made_when_it_can(tmp_path: Path, disk: DiskRecord) -> None:
    vault = open_vault(tmp_path)
    path = index_file(tmp_path)
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (path.stat().st_size - 4096))
    cache, away = tmp_path / "cache", tmp_path / "away"
    cache.rename(away)
    cache.touch()
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="the index"):
            restored(vault, disk)
    cache.unlink()
    away.rename(cache)
    assert restored(vault, disk) == CONTENT
    vault.close()


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE chunks SET offset = offset + 1",
        "UPDATE chunks SET number = number + 1",
        "UPDATE chunks SET stored = stored + 1000000000",
        "UPDATE chunks SET plain = plain - 1, encoding = 1 - encoding",
        "UPDATE chunks SET encoding = 9",
        "UPDATE chunks SET kind = 1 - kind",
        "UPDATE packs SET id = zeroblob(16)",
        "UPDATE packs SET size = size + 1",
        "DELETE FROM chunks",
        "DELETE FROM packs",
        "UPDATE vault SET id = zeroblob(16)",
        "UPDATE vault SET schema_version = 99",
        "DROP TABLE vault",
    ],
)
def test_an_index_that_lies_is_corrected(tmp_path: Path, disk: DiskRecord, lie: str) -> None:
    database = sqlite3.connect(index_file(tmp_path))
    with database:
        database.execute(lie)
    database.close()
    vault = open_vault(tmp_path)
    assert restored(vault, disk) == CONTENT
    vault.close()


def test_packs_of_another_process_are_found(tmp_path: Path, disk: DiskRecord) -> None:
    here, there = open_vault(tmp_path), open_vault(tmp_path, cache="elsewhere")
    more = CONTENT + random.Random(4).randbytes(CHUNK)
    _, theirs = back_up(there, MemoryDisk(more))
    assert restored(here, theirs) == more
    stored = here.usage().stored_bytes
    back_up(here, MemoryDisk(more))
    assert here.usage().stored_bytes == stored
