"""What a backup reads, stores, counts and refuses."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.vault import PointDescription, Vault, spot_check
from restorium.vocabulary.errors import Cancelled, InvalidInput, RepositoryFull
from tests.support.vaults import CHUNK, CREATED, MemoryDisk, back_up, new_vault, open_vault, restored


def noise(chunks: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(chunks * CHUNK)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return new_vault(tmp_path)


def test_the_same_content_is_stored_once_over_disks_points_and_places(vault: Vault) -> None:
    content = noise(8)
    back_up(vault, MemoryDisk(content))
    before = vault.usage().stored_bytes
    with vault.backup() as writer:
        moved = MemoryDisk(content[CHUNK:] + content[:CHUNK])
        record = writer.write_disk("other", moved, None, lambda count: None, lambda: False)
        writer.commit(PointDescription({}, CREATED, (record,)))
        assert writer.stats.new_bytes == 0
        assert writer.stats.read_bytes == len(content)
    assert vault.usage().stored_bytes - before < 2000
    assert restored(vault, record) == moved.content


def test_content_twice_on_one_disk_is_stored_once(vault: Vault) -> None:
    content = noise(4) * 3
    _, record = back_up(vault, MemoryDisk(content))
    assert vault.usage().stored_bytes < 4.1 * CHUNK
    assert restored(vault, record) == content


def test_zeros_and_holes_are_not_stored_and_holes_not_read(vault: Vault) -> None:
    disk = MemoryDisk(bytes(64 * CHUNK), holes=(range(8 * CHUNK, 64 * CHUNK),))
    _, record = back_up(vault, disk)
    assert disk.read_bytes == 8 * CHUNK
    assert vault.usage().stored_bytes == 0
    assert list(vault.extents(record)) == [Extent(0, 64 * CHUNK, hole=True)]


def test_text_is_stored_compressed_and_noise_as_it_is(vault: Vault) -> None:
    back_up(vault, MemoryDisk(b"all work and no play " * 100_000))
    small = vault.usage().stored_bytes
    assert small < 200_000
    back_up(vault, MemoryDisk(noise(4)))
    assert 4 * CHUNK <= vault.usage().stored_bytes - small < 4.01 * CHUNK


def test_with_a_list_of_changes_hardly_anything_else_is_read(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spot_check, "SAMPLES", 4)
    content = bytearray(noise(32))
    _, first = back_up(vault, MemoryDisk(bytes(content)))
    content[5 * CHUNK + 7] ^= 1
    content[20 * CHUNK - 1] ^= 1
    content[20 * CHUNK] ^= 1
    disk = MemoryDisk(bytes(content))
    changed = [Extent(5 * CHUNK + 7, 1, hole=False), Extent(20 * CHUNK - 1, 2, hole=False)]
    _, second = back_up(vault, disk, first, changed=changed)
    assert disk.read_bytes == (3 + 4) * CHUNK
    assert restored(vault, second) == content


def test_changes_of_a_disk_of_another_size_include_its_old_and_new_end(vault: Vault) -> None:
    old = noise(3)[:-100]
    _, first = back_up(vault, MemoryDisk(old))
    for new in (old + noise(1, seed=1), old[: 2 * CHUNK + 5], old[: 2 * CHUNK], b""):
        _, second = back_up(vault, MemoryDisk(new), first, changed=[])
        # What lies beyond the shorter of both cannot be taken from the parent, whatever the list says.
        assert restored(vault, second) == new


def test_what_the_parent_lost_is_stored_again(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    content = noise(6)
    _, first = back_up(vault, MemoryDisk(content))
    for pack in (tmp_path / "vault" / "packs").glob("*/*"):
        pack.unlink()
    _, second = back_up(vault, MemoryDisk(content), first, changed=[])
    assert restored(vault, second) == content
    assert restored(vault, first) == content


def test_progress_sums_up_to_the_size_and_the_counts_tell_what_happened(vault: Vault) -> None:
    content = bytearray(noise(20) + bytes(10 * CHUNK) + b"end")
    holes = (range(20 * CHUNK, 30 * CHUNK),)
    _, first = back_up(vault, MemoryDisk(bytes(content), holes))
    content[0] ^= 1
    done: list[int] = []
    with vault.backup() as writer:
        disk = MemoryDisk(bytes(content), holes)
        record = writer.write_disk("disk-0", disk, first, done.append, lambda: False)
        writer.commit(PointDescription({}, CREATED, (record,)))
        stats = writer.stats
    assert sum(done) == len(content)
    assert (stats.read_bytes, stats.hole_bytes) == (20 * CHUNK + 3, 10 * CHUNK)
    assert (stats.unchanged_bytes, stats.new_bytes) == (19 * CHUNK + 3, CHUNK)
    assert CHUNK < stats.stored_bytes < CHUNK + 4000


def test_a_cancel_ends_the_backup_soon_and_leaves_no_point(vault: Vault) -> None:
    asked = threading.Event()
    disk = MemoryDisk(noise(256))

    def progress(count: int) -> None:
        asked.set()

    with pytest.raises(Cancelled), vault.backup(threads=1) as writer:
        writer.write_disk("disk-0", disk, None, progress, asked.is_set)
    assert disk.read_bytes < disk.size
    assert vault.points() == []


def test_a_point_cannot_hold_two_disks_of_one_key(vault: Vault) -> None:
    with vault.backup() as writer:
        record = writer.write_disk("a", MemoryDisk(b"x"), None, lambda count: None, lambda: False)
        with pytest.raises(InvalidInput, match="two disks"):
            writer.commit(PointDescription({}, CREATED, (record, record)))


def test_a_quota_ends_the_backup_and_what_is_there_stays(tmp_path: Path) -> None:
    new_vault(tmp_path).close()
    vault = open_vault(tmp_path, quota_bytes=10 * CHUNK)
    _, kept = back_up(vault, MemoryDisk(noise(8)))
    with pytest.raises(RepositoryFull, match="file://"):
        back_up(vault, MemoryDisk(noise(8, seed=1)))
    assert len(vault.points()) == 1
    assert restored(vault, kept) == noise(8)
    usage = vault.usage()
    assert usage.capacity_bytes == 10 * CHUNK
    assert usage.free_bytes == 10 * CHUNK - usage.stored_bytes
    vault.close()
    roomier = open_vault(tmp_path, quota_bytes=20 * CHUNK)
    _, record = back_up(roomier, MemoryDisk(noise(8, seed=1)))
    assert restored(roomier, record) == noise(8, seed=1)


def test_a_reader_that_fails_fails_the_backup_with_its_own_error(vault: Vault) -> None:
    class Broken(MemoryDisk):
        def read_into(self, offset: int, buffer: memoryview) -> None:
            if offset:
                raise InvalidInput("the source is gone")
            super().read_into(offset, buffer)

    with pytest.raises(InvalidInput, match="source is gone"):
        back_up(vault, Broken(noise(30)))
    assert vault.points() == []


def test_points_are_listed_and_described(vault: Vault) -> None:
    with vault.backup() as writer:
        record = writer.write_disk("a", MemoryDisk(b"x"), None, lambda count: None, lambda: False)
        name = writer.commit(PointDescription({"name": "web", "tags": [1]}, CREATED, (record,)))
    assert vault.points() == [name]
    point = vault.point(name)
    assert point.description == PointDescription({"name": "web", "tags": [1]}, CREATED, (record,))


def test_a_program_that_backs_up_starts_without_what_it_does_not_need() -> None:
    needless = {"dbos", "sqlalchemy", "structlog", "dissect", "rich"}
    program = "import sys, restorium.disks, restorium.vault; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not needless.intersection(done.stdout.split())
