"""Somebody changes, swaps or removes what lies on the storage: it is noticed when read and when verified."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.vault import DiskRecord, Vault
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, NotFound, RestoriumError, WrongKey
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, new_vault, open_vault, restored

CONTENT = random.Random(1).randbytes(3 * CHUNK) + b"text " * CHUNK
HEADER, TRAILER = 32, 12


@pytest.fixture
def disk(tmp_path: Path) -> DiskRecord:
    vault = new_vault(tmp_path)
    record = back_up(vault, MemoryDisk(CONTENT))[1]
    vault.close()
    return record


def only(folder: Path, pattern: str) -> Path:
    (found,) = (folder / "vault").glob(pattern)
    return found


def opened(folder: Path) -> Vault:
    """With an index made from the storage as it is now."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return open_vault(folder)


def with_each_bit_flipped(path: Path, positions: Iterator[int]) -> Iterator[int]:
    """Flip one bit at a time, and put it back."""
    content = path.read_bytes()
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        yield position
    path.write_bytes(content)


def test_a_flipped_bit_in_a_pack_is_found_by_verify_and_no_restore_gives_wrong_bytes(
    tmp_path: Path, disk: DiskRecord
) -> None:
    pack = only(tmp_path, "packs/*/*")
    size = pack.stat().st_size
    chance = random.Random(2)
    positions = [*range(0, HEADER, 3), *range(size - TRAILER - 300, size, 7)]
    positions += [chance.randrange(HEADER, size) for _ in range(25)]
    for position in with_each_bit_flipped(pack, iter(positions)):
        vault = opened(tmp_path)
        assert vault.verify().findings, f"byte {position}"
        try:
            assert restored(vault, disk) == CONTENT
            # Only the header is not needed for reading: everything in it is known from the pack's name.
            assert position < HEADER
        except (DataCorrupt, ChunkMissing) as error:
            assert position >= HEADER, error.message
        vault.close()
    assert restored(opened(tmp_path), disk) == CONTENT


def test_a_flipped_bit_in_chunk_data_names_disk_and_bytes(tmp_path: Path, disk: DiskRecord) -> None:
    pack = only(tmp_path, "packs/*/*")
    for _ in with_each_bit_flipped(pack, iter([HEADER + CHUNK + 100])):
        vault = open_vault(tmp_path)
        with pytest.raises(DataCorrupt, match=r"disk 'disk-0', bytes \d+ to \d+: .*does not match"):
            restored(vault, disk)
        vault.close()


def test_a_flipped_bit_in_a_disks_table_names_disk_and_bytes(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    back_up(vault, MemoryDisk(b"x" * CHUNK))
    data = only(tmp_path, "packs/*/*")
    _, disk = back_up(vault, MemoryDisk(b"x" * 2 * CHUNK))
    vault.close()
    (tables,) = set((tmp_path / "vault").glob("packs/*/*")) - {data}
    for _ in with_each_bit_flipped(tables, iter([HEADER + 3])):
        vault = open_vault(tmp_path)
        with pytest.raises(DataCorrupt, match="disk 'disk-0', bytes 0 to 524288: their table is lost"):
            restored(vault, disk)
        (finding,) = [each for each in vault.verify().findings if each.subject.startswith("points/")]
        assert finding.problem.startswith("disk 'disk-0', bytes 0 to 524288: their table is lost")
        vault.close()


def test_a_flipped_bit_anywhere_in_a_manifest_is_found(tmp_path: Path, disk: DiskRecord) -> None:
    manifest = only(tmp_path, "points/*")
    vault = open_vault(tmp_path)
    for position in with_each_bit_flipped(manifest, iter(range(manifest.stat().st_size))):
        with pytest.raises(DataCorrupt, match=manifest.name):
            vault.point(manifest.name)
        if position % 50 == 0:
            assert [finding.subject for finding in vault.verify().findings] == [f"points/{manifest.name}"]
    assert vault.point(manifest.name).disks == (disk,)


def test_a_flipped_bit_anywhere_in_the_configuration_is_found_or_harmless(
    tmp_path: Path, disk: DiskRecord
) -> None:
    config = only(tmp_path, "config")
    vault_id = open_vault(tmp_path).id
    for _ in with_each_bit_flipped(config, iter(range(config.stat().st_size))):
        try:
            vault = open_vault(tmp_path)
        except RestoriumError:
            continue
        # White space and the case of a hexadecimal digit carry nothing.
        assert (vault.id, vault.chunk_size) == (vault_id, CHUNK)
        vault.close()


def test_a_manifest_of_another_point_or_vault_is_refused(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    first, _ = back_up(vault, MemoryDisk(b"one"))
    second, _ = back_up(vault, MemoryDisk(b"two"))
    other = new_vault(tmp_path / "other", key=KEY)
    points, others = tmp_path / "vault/points", tmp_path / "other/vault/points"
    others.mkdir()
    shutil.copy(points / first, others / first)
    with pytest.raises(DataCorrupt):
        other.point(first)
    shutil.copy(points / first, points / second)
    with pytest.raises(DataCorrupt):
        vault.point(second)
    assert vault.point(first).name == first


def test_a_pack_under_another_packs_name_is_refused(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    _, one = back_up(vault, MemoryDisk(b"one"))
    pack = only(tmp_path, "packs/*/*")
    _, two = back_up(vault, MemoryDisk(b"two"))
    (later,) = set((tmp_path / "vault").glob("packs/*/*")) - {pack}
    shutil.copy(pack, later)
    vault = opened(tmp_path)
    assert restored(vault, one) == b"one"
    with pytest.raises((ChunkMissing, DataCorrupt)):
        restored(vault, two)
    assert vault.verify().findings


def test_one_damaged_pack_leaves_other_points_alone(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    _, one = back_up(vault, MemoryDisk(CONTENT))
    pack = only(tmp_path, "packs/*/*")
    _, two = back_up(vault, MemoryDisk(b"two"))
    pack.write_bytes(pack.read_bytes()[:1000])
    vault = opened(tmp_path)
    assert restored(vault, two) == b"two"
    with pytest.raises((ChunkMissing, DataCorrupt)):
        restored(vault, one)


def test_a_removed_manifest_is_a_point_that_is_not_there(tmp_path: Path, disk: DiskRecord) -> None:
    manifest = only(tmp_path, "points/*")
    manifest.unlink()
    with pytest.raises(NotFound):
        open_vault(tmp_path).point(manifest.name)


def test_a_config_of_another_vault_opens_nothing_of_this_one(tmp_path: Path, disk: DiskRecord) -> None:
    new_vault(tmp_path / "other")
    shutil.copy(tmp_path / "other/vault/config", tmp_path / "vault/config")
    vault = open_vault(tmp_path)
    with pytest.raises(DataCorrupt):
        vault.point(vault.points()[0])
    with pytest.raises(ChunkMissing):
        restored(vault, disk)


def test_nothing_of_a_disk_or_its_description_is_in_the_clear(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    canary = b"canary in the mine"
    back_up(vault, MemoryDisk(canary + random.Random(1).randbytes(5000)), key=canary.decode())
    vault.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path
    with pytest.raises(WrongKey):
        open_vault(tmp_path, key=type(KEY).raw(bytes(32)))


def test_the_same_content_has_other_names_in_another_vault(tmp_path: Path) -> None:
    """So that what one vault holds cannot be looked up in another's index or storage."""
    disks = [back_up(new_vault(tmp_path / folder), MemoryDisk(b"known"))[1] for folder in "ab"]
    assert disks[0].root != disks[1].root
