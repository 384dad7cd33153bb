"""What a vault says of the room that it takes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from restorium.vocabulary.errors import Cancelled
from tests.support.vaults import CHUNK, MemoryDisk, back_up, new_vault

NOISE = random.Random(1).randbytes(8 * CHUNK)


def test_shared_and_own_bytes_of_points_are_told_apart(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    first, record = back_up(vault, MemoryDisk(NOISE[: 4 * CHUNK] + bytes(2 * CHUNK)))
    second, _ = back_up(vault, MemoryDisk(NOISE[: 3 * CHUNK] + NOISE[5 * CHUNK : 8 * CHUNK]), record)
    third, _ = back_up(vault, MemoryDisk(NOISE[: 3 * CHUNK] + NOISE[5 * CHUNK : 8 * CHUNK]), record)
    told: list[tuple[int, int]] = []
    stats = vault.stats(progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    by_name = {point.name: point for point in stats.points}
    in_chunks = {
        name: (point.size // CHUNK, point.data // CHUNK, point.added // CHUNK, point.alone // CHUNK)
        for name, point in by_name.items()
    }
    ordered = [in_chunks[name] for name in sorted((second, third))]
    assert in_chunks[first][:2] == (6, 4)
    assert in_chunks[first][3] == 1  # what the others replaced
    assert [point[:2] for point in ordered] == [(6, 6), (6, 6)]
    assert [point[3] for point in ordered] == [0, 0]  # they share everything
    assert sum(point.added for point in stats.points) == stats.needed
    assert stats.data == 16 * CHUNK
    assert 7 * CHUNK < stats.distinct < 7 * CHUNK + 2000
    assert stats.deduplication == pytest.approx(16 / 7, rel=0.01)
    assert stats.compression == pytest.approx(1, rel=0.01)
    assert stats.stored == vault.usage().stored_bytes


def test_compression_holes_and_what_is_left_behind_are_counted(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    empty = vault.stats()
    assert (empty.data, empty.needed, empty.deduplication, empty.compression) == (0, 0, 1.0, 1.0)
    gone, _ = back_up(vault, MemoryDisk(NOISE))
    back_up(vault, MemoryDisk(b"the same words " * CHUNK, holes=()))
    vault.delete_point(gone)
    stats = vault.stats()
    assert stats.compression > 20
    assert stats.stored - stats.needed > 8 * CHUNK
    with pytest.raises(Cancelled):
        vault.stats(cancelled=lambda: True)
