"""Lists of changes that are wrong (R10): some of what they leave out is read, and then the disk is read whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord, PointDescription, Vault
from restorium.vault.spot_check import SAMPLES
from tests.support.vaults import CHUNK, CREATED, MemoryDisk, back_up, new_vault, restored

CONTENT = random.Random(1).randbytes(20 * CHUNK + 700)
FIRST = Extent(0, CHUNK, hole=False)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with new_vault(tmp_path) as opened:
        yield opened


@pytest.fixture
def parent(vault: Vault) -> DiskRecord:
    return back_up(vault, MemoryDisk(CONTENT))[1]


@pytest.mark.parametrize(
    "where", [range(5 * CHUNK + 3, 5 * CHUNK + 4), range(20 * CHUNK + 600, 20 * CHUNK + 700)]
)
@pytest.mark.parametrize("listed", [[], [FIRST]])
def test_a_change_that_is_not_listed_is_noticed_and_backed_up(
    vault: Vault, parent: DiskRecord, where: range, listed: list[Extent]
) -> None:
    changed = bytearray(CONTENT)
    changed[where.start : where.stop] = bytes(each ^ 1 for each in CONTENT[where.start : where.stop])
    done: list[int] = []
    with vault.backup() as writer:
        disk = MemoryDisk(bytes(changed))
        record = writer.write_disk("sda", disk, parent, done.append, lambda: False, changed=listed)
        start = where.start // CHUNK * CHUNK
        assert list(writer.distrusted) == ["sda"]
        assert writer.distrusted["sda"].startswith(f"bytes {start} to ")
        assert writer.stats.read_bytes == len(CONTENT)
        assert writer.stats.unchanged_bytes + writer.stats.new_bytes == len(CONTENT)
        writer.commit(PointDescription({}, CREATED, (record,)))
    assert sum(done) == len(CONTENT)
    assert restored(vault, record) == changed


@pytest.mark.parametrize("listed", [[], [FIRST]])
def test_data_that_became_a_hole_unlisted_is_noticed(
    vault: Vault, parent: DiskRecord, listed: list[Extent]
) -> None:
    hole = range(7 * CHUNK, 9 * CHUNK)
    changed = CONTENT[: hole.start] + bytes(len(hole)) + CONTENT[hole.stop :]
    _, record = back_up(vault, MemoryDisk(changed, (hole,)), parent, changed=listed, distrusted=True)
    assert restored(vault, record) == changed


def test_a_right_list_is_trusted_and_so_much_is_read_to_find_out(vault: Vault) -> None:
    content = bytearray(b"".join(number.to_bytes(8, "big") * (CHUNK // 8) for number in range(1, 301)))
    _, parent = back_up(vault, MemoryDisk(bytes(content)))
    content[:9] = b"different"
    disk = MemoryDisk(bytes(content))
    with vault.backup() as writer:
        writer.write_disk("sda", disk, parent, lambda count: None, lambda: False, changed=[FIRST])
        assert writer.distrusted == {}
        assert writer.stats.read_bytes == disk.read_bytes == (1 + SAMPLES) * CHUNK


def test_holes_are_not_read_to_find_out(vault: Vault) -> None:
    hole = range(CHUNK, 9 * CHUNK)
    content = b"x" * CHUNK + bytes(len(hole)) + b"y" * CHUNK
    _, parent = back_up(vault, MemoryDisk(content, (hole,)))
    disk = MemoryDisk(content, (hole,))
    back_up(vault, disk, parent, changed=[])
    assert disk.read_bytes == 2 * CHUNK


def test_each_chunk_has_its_chance(vault: Vault) -> None:
    """Whatever one chunk of many changes unseen, repeated runs come to it."""
    content = bytearray(b"".join(number.to_bytes(8, "big") * (CHUNK // 8) for number in range(1, 129)))
    _, parent = back_up(vault, MemoryDisk(bytes(content)))
    for chunk in (0, 63, 127):
        changed = bytearray(content)
        changed[chunk * CHUNK] ^= 1
        for _ in range(40):
            with vault.backup() as writer:
                disk = MemoryDisk(bytes(changed))
                writer.write_disk("sda", disk, parent, lambda count: None, lambda: False, changed=[])
            if writer.distrusted:
                break
        assert writer.distrusted
