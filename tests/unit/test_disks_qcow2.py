"""qcow2 images of others: what is read, what is refused, and what is found to be damaged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from restorium.disks import open_disk, reopen_disk
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, InvalidInput, Unsupported
from tests.support.disks import CLUSTER, MIB, needs_qemu, qemu_img, read_all, write_image

SIZE = 4 * MIB
L1_AT, L2_AT = CLUSTER, 2 * CLUSTER
OFFSET_SIZE, OFFSET_L1_ENTRIES, OFFSET_L1 = 24, 36, 40


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    write_image(path, b"d" * SIZE, "qcow2")
    return path


def _put(path: Path, offset: int, value: int, length: int = 8) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value.to_bytes(length, "big"))


def _qemu_io(path: Path, *commands: str) -> None:
    for command in commands:
        subprocess.run(["qemu-io", "-c", command, str(path)], check=True, capture_output=True)


@needs_qemu
def test_clusters_that_qemu_zeroed_or_discarded_are_holes(image: Path) -> None:
    _qemu_io(image, "write -z 1M 1M", "discard 3M 512k")
    with open_disk(image) as reader:
        holes = [extent for extent in reader.extents() if extent.hole]
    assert holes == [Extent(MIB, MIB, hole=True), Extent(3 * MIB, MIB // 2, hole=True)]
    content = read_all(image)
    assert content == b"".join((b"d" * MIB, bytes(MIB), b"d" * MIB, bytes(MIB // 2), b"d" * (MIB // 2)))


@needs_qemu
def test_image_with_internal_snapshots_reads_as_it_is_now_and_shared_clusters_are_not_overwritten(
    image: Path,
) -> None:
    qemu_img("snapshot", "-c", "before", image)
    _qemu_io(image, "write -P 0x6e 0 1M")
    assert read_all(image) == b"n" * MIB + b"d" * (SIZE - MIB)
    with reopen_disk(image, SIZE, "qcow2") as writer:
        writer.write(0, b"own")
        with pytest.raises(InvalidInput, match="no cluster of their own"):
            writer.write(2 * MIB, b"shared")
    qemu_img("snapshot", "-a", "before", image)
    assert read_all(image) == b"d" * SIZE


@needs_qemu
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["-o", "extended_l2=on"], "extended L2"),
        (["-o", "data_file={folder}/data.raw"], "external data file"),
        (["--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s"], "encryption"),
    ],
)
def test_features_that_are_not_read_are_named(tmp_path: Path, options: list[str], what: str) -> None:
    path = tmp_path / "disk.qcow2"
    qemu_img("create", "-f", "qcow2", *[each.format(folder=tmp_path) for each in options], path, "4M")
    with pytest.raises(Unsupported, match=rf"disk\.qcow2 has .*{what}") as caught:
        open_disk(path)
    assert "qemu-img convert" in caught.value.hint


def test_feature_of_the_future_is_refused(image: Path) -> None:
    _put(image, 72, 1 << 17)
    with pytest.raises(Unsupported, match="not known"):
        open_disk(image)


def test_image_that_qemu_marked_as_corrupt_is_refused(image: Path) -> None:
    _put(image, 72, 2)
    with pytest.raises(DiskDamaged, match=r"disk\.qcow2 is marked as corrupt"):
        open_disk(image)


@pytest.mark.parametrize(
    ("place", "value", "length"),
    [
        (4, 1, 4),
        (20, 0, 4),
        (20, 8, 4),
        (20, 22, 4),
        (20, 0xFFFFFFFF, 4),
        (OFFSET_SIZE, 1 << 63, 8),
        (OFFSET_SIZE, 1 << 40, 8),
        (OFFSET_L1_ENTRIES, 0, 4),
        (OFFSET_L1, 1 << 62, 8),
        (OFFSET_L1, CLUSTER + 8, 8),
        (100, 8, 4),
        (100, 1 << 31, 4),
        (L1_AT, 1 << 50, 8),
        (L1_AT, L2_AT + 512, 8),
    ],
)
def test_header_and_map_that_cannot_be_are_refused(image: Path, place: int, value: int, length: int) -> None:
    _put(image, place, value, length)
    with pytest.raises((DiskDamaged, Unsupported), match=r"disk\.qcow2"):
        open_disk(image)


@pytest.mark.parametrize("entry", [1 << 50, 3 * CLUSTER + 512, (1 << 62) | 1 << 50, (1 << 62) | 3 * CLUSTER])
def test_cluster_that_is_not_where_the_map_says_is_damage(image: Path, entry: int) -> None:
    _put(image, L2_AT, entry)
    with open_disk(image) as reader, pytest.raises(DiskDamaged, match=r"disk\.qcow2"):
        read_all(reader)


def test_many_tables_in_one_place_do_not_make_an_endless_disk(tmp_path: Path) -> None:
    """A small file whose first-level map names one table a million times would take days to walk."""
    path, entries = tmp_path / "disk.qcow2", 1 << 20
    write_image(path, b"d" * CLUSTER, "qcow2")
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        file.write((L2_AT | 1 << 63).to_bytes(8, "big") * entries)
    _put(path, OFFSET_L1, end)
    _put(path, OFFSET_L1_ENTRIES, entries, 4)
    _put(path, OFFSET_SIZE, entries << 29)
    with pytest.raises(DiskDamaged, match="more than it has room for"):
        open_disk(path)


@needs_qemu
@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_compressed_cluster_that_is_not_whole_is_damage(tmp_path: Path, method: str) -> None:
    plain, path = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    plain.write_bytes(b"compressible" * 87382)
    qemu_img("convert", "-c", "-O", "qcow2", "-o", f"compression_type={method}", plain, path)
    content = path.read_bytes()
    l2 = (
        int.from_bytes(content[(l1 := int.from_bytes(content[40:48], "big")) : l1 + 8], "big")
        & (1 << 56) - 512
    )
    place = int.from_bytes(content[l2 : l2 + 8], "big") & (1 << 54) - 1
    _put(path, place, 0)
    with open_disk(path) as reader, pytest.raises(DiskDamaged, match="not whole"):
        read_all(reader)
