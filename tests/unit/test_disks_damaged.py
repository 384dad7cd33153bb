"""Images whose headers ask for too much, or say that something else is needed to read them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from restorium.disks import open_disk
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, Unsupported
from tests.support.disks import (
    CLUSTER,
    MIB,
    needs_qemu,
    pieces,
    qemu_img,
    read_all,
    write_image,
    write_sparse,
)

FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
HEADERS, REGION_TABLES = (0x10000, 0x20000), (0x30000, 0x40000)

Content = bytearray


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    def make(image_format: str, *options: str) -> Path:
        source, path = tmp_path / "source.raw", tmp_path / f"disk.{image_format}"
        write_sparse(source, 8 * MIB, pieces(1, 8 * MIB, 5))
        qemu_img("convert", "-f", "raw", "-O", image_format, *options, source, path)
        return path

    return make


def _put(content: Content, places: tuple[int, ...], value: bytes) -> None:
    for place in places:
        content[place : place + len(value)] = value


def _metadata_item(content: Content, item: bytes) -> int:
    """Where a vhdx image keeps an item of its metadata."""
    start = content.find(b"metadata")
    entry = content.find(item, start)
    return start + int.from_bytes(content[entry + 16 : entry + 20], "little")


def _open_log(content: Content) -> None:
    _put(content, tuple(header + 48 for header in HEADERS), b"log" * 5)


def _parent(content: Content) -> None:
    content[_metadata_item(content, FILE_PARAMETERS) + 4] |= 2


def _endless_disk(content: Content) -> None:
    _put(content, (_metadata_item(content, VIRTUAL_DISK_SIZE),), (1 << 60).to_bytes(8, "little"))


def _endless_regions(content: Content) -> None:
    _put(content, tuple(table + 8 for table in REGION_TABLES), b"\xff" * 4)


def _no_block_size(content: Content) -> None:
    _put(content, (_metadata_item(content, FILE_PARAMETERS),), bytes(4))


@needs_qemu
@pytest.mark.parametrize(
    ("spoil", "kind", "reason"),
    [
        (_open_log, Unsupported, "not closed cleanly"),
        (_parent, Unsupported, "snapshot's part"),
        (_endless_disk, DiskDamaged, "more than its map has room for"),
        (_endless_regions, DiskDamaged, "more regions"),
        (_no_block_size, DiskDamaged, "cannot be understood"),
    ],
)
def test_vhdx_that_cannot_be_read_says_why(
    made: Callable[..., Path], spoil: Callable[[Content], None], kind: type[Exception], reason: str
) -> None:
    path = made("vhdx")
    content = bytearray(path.read_bytes())
    spoil(content)
    path.write_bytes(content)
    with pytest.raises(kind, match=rf"disk\.vhdx.*{reason}"):
        open_disk(path)


@needs_qemu
@pytest.mark.parametrize(
    ("place", "length", "value"),
    [(12, 8, 1 << 62), (20, 8, 0), (20, 8, 1 << 40), (44, 4, 0), (44, 4, 1 << 31)],
)
def test_vmdk_that_declares_an_impossible_map_is_damaged(
    made: Callable[..., Path], place: int, length: int, value: int
) -> None:
    path = made("vmdk")
    content = bytearray(path.read_bytes())
    _put(content, (place,), value.to_bytes(length, "little"))
    path.write_bytes(content)
    with pytest.raises(DiskDamaged, match=r"disk\.vmdk declares a map"):
        open_disk(path)


@needs_qemu
def test_compressed_vmdk_swells_no_further_than_its_grains(made: Callable[..., Path]) -> None:
    path = made("vmdk", "-o", "subformat=streamOptimized")
    content = bytearray(path.read_bytes())
    marker = content.find(b"\x78", 64 * 1024)
    while int.from_bytes(content[marker - 4 : marker], "little") > CLUSTER * 2 or (marker - 12) % 512:
        marker = content.find(b"\x78", marker + 1)
    _put(content, (marker - 4,), b"\xff" * 4)
    path.write_bytes(content)
    with (
        open_disk(path) as reader,
        pytest.raises(DiskDamaged, match="a compressed grain of 4294967295 bytes"),
    ):
        read_all(reader)


@needs_qemu
def test_vmdk_part_is_no_disk_and_a_descriptor_must_match_its_parts(made: Callable[..., Path]) -> None:
    path = made("vmdk", "-o", "subformat=twoGbMaxExtentSparse")
    [part] = path.parent.glob("disk-s*.vmdk")
    with pytest.raises(DiskDamaged, match=r"no whole vmdk disk"):
        open_disk(part)
    sectors = 8 * MIB // 512
    path.write_text(path.read_text().replace(f"RW {sectors} ", f"RW {sectors * 2} "))
    with pytest.raises(DiskDamaged, match=rf"{part.name} holds"):
        open_disk(path)


def test_qcow2_cut_short_is_found_by_its_map_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    write_image(path, b"d" * 4 * CLUSTER, "qcow2")
    os.truncate(path, 5 * CLUSTER)
    with open_disk(path) as reader, pytest.raises(DiskDamaged, match=r"disk\.qcow2 ends at byte"):
        list(reader.extents())


def test_qcow2_map_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    write_image(path, b"d" * CLUSTER, "qcow2")
    with path.open("r+b") as file:
        file.seek(24)
        file.write((1 << 60).to_bytes(8, "big"))
        file.seek(36)
        file.write(b"\xff" * 4)
        file.truncate(1 << 38)
    with pytest.raises(DiskDamaged, match="has 33554432 at most"):
        open_disk(path)


def test_raw_disk_on_storage_without_a_map_of_holes_is_all_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_map(*_: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    content = write_sparse(tmp_path / "disk", MIB, {300_000: b"data"})
    with open_disk(tmp_path / "disk") as reader:
        monkeypatch.setattr(os, "lseek", no_map)
        assert list(reader.extents()) == [Extent(0, MIB, hole=False)]
        assert read_all(reader) == content
