"""What a restore writes, tells on its way, and notices."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord, Missing, Vault
from restorium.vocabulary.errors import (
    Cancelled,
    ChunkMissing,
    DataCorrupt,
    DiskDamaged,
    InvalidInput,
    NotFound,
    TargetFull,
    VerificationFailed,
)
from tests.support.vaults import CHUNK, KEY, CountingStorage, MemoryDisk, MemoryTarget, back_up, new_vault

CONTENT = (
    random.Random(5).randbytes(10 * CHUNK) + bytes(20 * CHUNK) + random.Random(6).randbytes(5 * CHUNK + 9)
)
DATA_BYTES = 15 * CHUNK + 9


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return new_vault(tmp_path)


@pytest.fixture
def disk(vault: Vault) -> DiskRecord:
    return back_up(vault, MemoryDisk(CONTENT))[1]


def restore_telling(
    vault: Vault, disk: DiskRecord, target: MemoryTarget, start: int = 0
) -> list[tuple[int, int]]:
    """Restore, and give what was told of each window."""
    told: list[tuple[int, int]] = []
    vault.restore_disk(disk, target, start=start, on_window=lambda end, copied: told.append((end, copied)))
    return told


def test_holes_are_never_written(vault: Vault, disk: DiskRecord) -> None:
    target = MemoryTarget(disk.size)
    vault.restore_disk(disk, target)
    assert target.content == CONTENT
    assert sum(length for _, length in target.written) == DATA_BYTES == vault.planned_bytes(disk)


def test_windows_are_told_in_order_and_only_once_all_below_is_written(vault: Vault, disk: DiskRecord) -> None:
    target = MemoryTarget(disk.size)
    told: list[tuple[int, int]] = []

    def on_window(end: int, copied: int) -> None:
        assert target.content[:end] == CONTENT[:end]
        told.append((end, copied))

    vault.restore_disk(disk, target, window=4 * CHUNK, on_window=on_window)
    ends = [end for end, _ in told]
    assert ends == sorted(set(ends))
    assert ends[-1] == disk.size
    assert max(copied for _, copied in told) <= 4 * CHUNK
    assert sum(copied for _, copied in told) == DATA_BYTES


def test_a_restore_goes_on_from_any_window(vault: Vault, disk: DiskRecord) -> None:
    ends: list[int] = [0]
    vault.restore_disk(
        disk, MemoryTarget(disk.size), window=3 * CHUNK, on_window=lambda end, copied: ends.append(end)
    )
    for start in ends:
        target = MemoryTarget(disk.size)
        told = restore_telling(vault, disk, target, start)
        assert target.content == bytes(start) + CONTENT[start:]
        assert sum(copied for _, copied in told) == sum(length for _, length in target.written)
        assert all(offset >= start for offset, _ in target.written)


def test_a_disk_without_data_ends_all_the_same(vault: Vault) -> None:
    class Untouched(MemoryTarget):
        size = 0

    for size in (0, 1, 50_000 * CHUNK):
        Untouched.size = size
        told = restore_telling(vault, DiskRecord("empty", size, bytes(32)), Untouched(0))
        assert told == ([(size, 0)] if size else [])


def test_a_cancel_ends_the_restore(vault: Vault, disk: DiskRecord) -> None:
    asked = threading.Event()
    target = MemoryTarget(disk.size)

    def on_window(end: int, copied: int) -> None:
        asked.set()

    with pytest.raises(Cancelled):
        vault.restore_disk(disk, target, window=CHUNK, on_window=on_window, cancelled=asked.is_set)


def test_a_target_of_another_size_is_refused(vault: Vault, disk: DiskRecord) -> None:
    with pytest.raises(InvalidInput, match="disk-0"):
        vault.restore_disk(disk, MemoryTarget(disk.size - 1))


def test_what_the_writer_raises_comes_through(vault: Vault, disk: DiskRecord) -> None:
    class Full(MemoryTarget):
        def write(self, offset: int, data: bytes | memoryview) -> None:
            raise TargetFull("no room")

    with pytest.raises(TargetFull):
        vault.restore_disk(disk, Full(disk.size))


def test_verify_accepts_what_was_restored_and_counts_its_data(vault: Vault, disk: DiskRecord) -> None:
    done: list[int] = []
    vault.verify_disk(disk, MemoryDisk(CONTENT), progress=done.append)
    assert sum(done) == DATA_BYTES
    sparse = MemoryDisk(CONTENT, holes=(range(10 * CHUNK, 30 * CHUNK),))
    vault.verify_disk(disk, sparse)
    assert sparse.read_bytes == DATA_BYTES


@pytest.mark.parametrize("position", [0, 7 * CHUNK, 15 * CHUNK + 3, len(CONTENT) - 1])
def test_verify_names_the_bytes_that_differ_in_data_and_in_holes(
    vault: Vault, disk: DiskRecord, position: int
) -> None:
    changed = bytearray(CONTENT)
    changed[position] ^= 0x10
    start = position // CHUNK * CHUNK
    with pytest.raises(VerificationFailed, match=f"'disk-0', bytes {start} to"):
        vault.verify_disk(disk, MemoryDisk(bytes(changed)))


def test_verify_notices_data_that_became_a_hole(vault: Vault, disk: DiskRecord) -> None:
    lost = MemoryDisk(bytes(4 * CHUNK) + CONTENT[4 * CHUNK :], holes=(range(4 * CHUNK),))
    with pytest.raises(VerificationFailed):
        vault.verify_disk(disk, lost)


def test_any_range_can_be_read(vault: Vault, disk: DiskRecord) -> None:
    chance = random.Random(9)
    for _ in range(50):
        start = chance.randrange(len(CONTENT))
        length = chance.randrange(min(3 * CHUNK, len(CONTENT) - start) + 1)
        assert vault.read(disk, start, length) == CONTENT[start : start + length]
    for offset, length in ((-1, 5), (0, disk.size + 1), (disk.size, 1)):
        with pytest.raises(InvalidInput):
            vault.read(disk, offset, length)


def test_extents_are_whole_chunks_that_cover_the_disk(vault: Vault, disk: DiskRecord) -> None:
    assert list(vault.extents(disk)) == [
        Extent(0, 10 * CHUNK, hole=False),
        Extent(10 * CHUNK, 20 * CHUNK, hole=True),
        Extent(30 * CHUNK, 5 * CHUNK + 9, hole=False),
    ]


def test_a_lost_pack_is_told_before_and_during_a_restore(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    _, kept = back_up(vault, MemoryDisk(CONTENT[: 4 * CHUNK]))
    packs = set((tmp_path / "vault/packs").glob("*/*"))
    name, disk = back_up(vault, MemoryDisk(CONTENT))
    assert vault.missing_chunks(vault.point(name), disk) == Missing()
    # The point's own table is in the later pack, so only the earlier one can go.
    for pack in packs:
        pack.unlink()
    assert vault.missing_chunks(vault.point(name), disk) == Missing(4, ((0, 4 * CHUNK),))
    with pytest.raises((ChunkMissing, DataCorrupt), match="bytes 0 to"):
        vault.restore_disk(disk, MemoryTarget(disk.size))
    with pytest.raises(ChunkMissing):
        vault.restore_disk(kept, MemoryTarget(kept.size))


def test_a_point_that_is_not_there_is_not_found(vault: Vault) -> None:
    for name in ("20310203T040506Z-" + "0" * 32, "../config", "", "x"):
        with pytest.raises(NotFound):
            vault.point(name)


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Vault, CountingStorage, DiskRecord]:
    """A vault that holds ``CONTENT``, opened anew, on a storage that counts."""
    storage = CountingStorage(tmp_path / "vault")
    with Vault.create(storage, KEY, cache=tmp_path / "cache") as first:
        # One thread: so chunks lie in their packs in the disk's order.
        disk = back_up(first, MemoryDisk(CONTENT), threads=1)[1]
    vault = Vault.open(storage, KEY, cache=tmp_path / "cache")
    storage.read_bytes = storage.reads = 0
    return vault, storage, disk


def test_what_another_state_of_the_disk_holds_is_not_fetched(
    counted: tuple[Vault, CountingStorage, DiskRecord],
) -> None:
    vault, storage, disk = counted
    existing = bytearray(CONTENT)
    existing[3 * CHUNK + 7] ^= 1
    existing[12 * CHUNK : 13 * CHUNK] = b"x" * CHUNK
    target = MemoryTarget(disk.size)
    told: list[tuple[int, int]] = []
    vault.restore_disk(
        disk,
        target,
        window=4 * CHUNK,
        existing=MemoryDisk(bytes(existing)),
        on_window=lambda end, copied: told.append((end, copied)),
    )
    assert target.content == CONTENT
    assert sum(length for _, length in target.written) == DATA_BYTES
    assert told[-1][0] == disk.size
    assert sum(copied for _, copied in told) == DATA_BYTES
    assert CHUNK <= storage.read_bytes < 2 * CHUNK, "one chunk and the disk's table"


@pytest.mark.parametrize("size", [0, 5 * CHUNK + 1, len(CONTENT) + CHUNK])
def test_another_state_of_the_disk_may_have_any_size(
    counted: tuple[Vault, CountingStorage, DiskRecord], size: int
) -> None:
    vault, storage, disk = counted
    target = MemoryTarget(disk.size)
    vault.restore_disk(disk, target, existing=MemoryDisk(CONTENT[:size].ljust(size, b"y")))
    assert target.content == CONTENT
    assert storage.read_bytes < DATA_BYTES - min(size // CHUNK, 10) * CHUNK + CHUNK


def test_another_state_that_cannot_be_read_is_fetched_instead(vault: Vault, disk: DiskRecord) -> None:
    class Damaged(MemoryDisk):
        def read_into(self, offset: int, buffer: memoryview) -> None:
            raise DiskDamaged("a bad sector")

    target = MemoryTarget(disk.size)
    vault.restore_disk(disk, target, existing=Damaged(CONTENT))
    assert target.content == CONTENT


def test_reads_beside_each_other_fetch_a_chunk_once_and_neighbours_together(
    counted: tuple[Vault, CountingStorage, DiskRecord],
) -> None:
    vault, storage, disk = counted
    assert vault.read(disk, 0, 6 * CHUNK) == CONTENT[: 6 * CHUNK]
    assert storage.reads <= 3, "the root, the table, and all six chunks at once"
    storage.reads = 0
    for offset in range(0, 6 * CHUNK, 100_000):
        assert vault.read(disk, offset, 4096) == CONTENT[offset : offset + 4096]
    assert storage.reads == 0


def test_a_check_of_the_disk_can_be_cancelled(vault: Vault) -> None:
    name, disk = back_up(vault, MemoryDisk(CONTENT))
    with pytest.raises(Cancelled):
        vault.missing_chunks(vault.point(name), disk, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        vault.planned_bytes(disk, cancelled=lambda: True)
