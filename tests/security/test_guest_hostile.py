"""File systems that are damaged or made to harm: an error that says so, never a crash, a hang or all of memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from restorium.guest import Kind, open_guest, tar
from restorium.vocabulary.errors import DataCorrupt, RestoriumError
from tests.support import guests
from tests.support.vaults import MemoryDisk

TOP = "Volume$0:"
_MOST_READ = 64 * guests.MIB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for number in range(40):
        (folder / f"file-{number}").write_bytes(b"content" * number)
    (folder / "below").mkdir()
    (folder / "below" / "deep").write_bytes(b"q" * 9000)
    return folder


@pytest.mark.parametrize(
    "kind", ["ext2", "ext4", pytest.param("btrfs", marks=pytest.mark.slow), "fat12", "fat32", "ntfs"]
)
def test_damage_anywhere_is_an_error_or_nothing(kind: str, folder: Path, tmp_path: Path) -> None:
    image = guests.make(kind, folder, tmp_path / "disk.raw", 34 if kind == "fat32" else 8).read_bytes()
    used = [place for place in range(0, len(image), 512) if any(image[place : place + 512])]
    if kind == "ntfs":  # nearly all of a small one is its log, which nobody reads
        used = [place for place in used if image[place : place + 4] in (b"FILE", b"INDX")]
    failed = 0
    for seed in range(8 if kind == "btrfs" else 25):
        source = random.Random(seed)
        damaged = bytearray(image)
        for _ in range(source.choice([1, 10, 40])):
            place = source.choice(used) + source.randrange(500)
            damaged[place : place + 4] = source.choice([bytes(4), b"\xff" * 4, source.randbytes(4)])
        try:
            guest = open_guest([MemoryDisk(bytes(damaged))])
            for volume in guest.volumes:
                guest.page((volume,), limit=20)
                read = 0
                for piece in tar(guest, (volume,)):
                    read += len(piece)
                    if read > _MOST_READ:
                        break
        except RestoriumError as error:
            assert error.message  # either is right: nothing else may come out
            failed += 1
    assert failed, "the damage was never met"


def test_a_chain_of_clusters_that_bites_its_tail_is_damage(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "LOOP.BIN").write_bytes(b"x" * 5000)
    image = bytearray(guests.make("fat16", tree, tmp_path / "disk.raw", 16).read_bytes())
    fat = int.from_bytes(image[14:16], "little") * 512
    image[fat + 4 : fat + 8] = b"\x03\x00\x02\x00"  # cluster 2 leads to 3, and 3 back to 2
    guest = open_guest([MemoryDisk(bytes(image))])
    with pytest.raises(DataCorrupt, match="LOOP"):
        b"".join(guest.open((TOP, "LOOP.BIN")).chunks())


def test_a_folder_inside_itself_is_passed_over(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "OUTER").mkdir(parents=True)
    (tree / "OUTER" / "INNER").mkdir()
    image = bytearray(guests.make("fat16", tree, tmp_path / "disk.raw", 16).read_bytes())
    outer = image.index(b"OUTER      ")
    inner = image.index(b"INNER      ")
    image[inner + 26 : inner + 28] = image[outer + 26 : outer + 28]  # the first cluster
    guest = open_guest([MemoryDisk(bytes(image))])
    assert guest.entry((TOP, "OUTER", "INNER", "INNER", "INNER")).kind is Kind.FOLDER
    assert len(b"".join(tar(guest, (TOP,)))) < 10 * 1024


def test_a_table_of_partitions_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    table = bytearray(512)
    table[510:512] = b"\x55\xaa"
    for slot in range(4):
        entry = 446 + 16 * slot
        table[entry + 4] = 5  # extended: the next table is in the first sector again
        table[entry + 8 : entry + 16] = (1).to_bytes(4, "little") * 2
    with pytest.raises(RestoriumError):
        open_guest([MemoryDisk(bytes(table) * 2048)])


def test_memory_does_not_grow_with_what_is_downloaded(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as file:
        file.truncate(1 << 30)
    guest = open_guest([MemoryDisk(guests.make("ext4", tree, tmp_path / "disk.raw", 8).read_bytes())])
    tracemalloc.start()
    try:
        assert sum(map(len, guest.open((TOP, "large")).chunks())) == 1 << 30
        assert tracemalloc.get_traced_memory()[1] < 32 * guests.MIB
    finally:
        tracemalloc.stop()
