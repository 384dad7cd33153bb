"""Every format that is read, in the variants that QEMU writes, against the bytes that went in."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from restorium.disks import detect_format, open_disk
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, InvalidInput, Unsupported
from tests.support.disks import MIB, check_cover, needs_qemu, pieces, qemu_img, read_all, write_sparse

SIZE = 24 * MIB
VARIANTS = {
    "raw": ("raw", []),
    "qcow2": ("qcow2", []),
    "qcow2 version 2": ("qcow2", ["-o", "compat=0.10"]),
    "qcow2 zlib": ("qcow2", ["-c"]),
    "qcow2 zstd": ("qcow2", ["-c", "-o", "compression_type=zstd"]),
    "qcow2 small clusters": ("qcow2", ["-o", "cluster_size=512"]),
    "qcow2 large clusters": ("qcow2", ["-o", "cluster_size=2M"]),
    "qcow2 preallocated": ("qcow2", ["-o", "preallocation=metadata"]),
    "vmdk": ("vmdk", []),
    "vmdk stream": ("vmdk", ["-o", "subformat=streamOptimized"]),
    "vmdk flat": ("vmdk", ["-o", "subformat=monolithicFlat"]),
    "vmdk split": ("vmdk", ["-o", "subformat=twoGbMaxExtentSparse"]),
    "vhdx": ("vhdx", ["-o", "block_size=1M"]),
    "vhdx fixed": ("vhdx", ["-o", "subformat=fixed"]),
}
WITHOUT_HOLES = {"vhdx fixed", "qcow2 preallocated"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("source") / "source.raw"
    return path, write_sparse(path, SIZE, pieces(1, SIZE, 14) | {SIZE - 700: b"the end" * 100})


@pytest.fixture(params=VARIANTS)
def variant(
    request: pytest.FixtureRequest, source: tuple[Path, bytes], tmp_path: Path
) -> tuple[str, str, Path, bytes]:
    image_format, options = VARIANTS[request.param]
    path = tmp_path / f"image.{image_format}"
    qemu_img("convert", "-f", "raw", "-O", image_format, *options, source[0], path)
    return request.param, image_format, path, source[1]


@needs_qemu
def test_disk_reads_as_what_went_in(variant: tuple[str, str, Path, bytes]) -> None:
    name, image_format, path, content = variant
    assert detect_format(path) == image_format
    with open_disk(path) as reader:
        assert reader.size == SIZE
        assert read_all(reader) == content
        extents = check_cover(reader, content)
    data = sum(extent.length for extent in extents if not extent.hole)
    assert name in WITHOUT_HOLES or data < SIZE


@needs_qemu
def test_many_threads_read_one_disk_at_once(variant: tuple[str, str, Path, bytes]) -> None:
    _, image_format, path, content = variant
    places = random.Random(2).choices(range(SIZE - 200_000), k=40)

    def differs(place: int) -> bool:
        buffer = memoryview(bytearray(b"\xff" * 200_000))
        reader.read_into(place, buffer)
        return buffer != content[place : place + 200_000]

    with open_disk(path, image_format) as reader, ThreadPoolExecutor(8) as threads:
        assert not any(threads.map(differs, places))


@needs_qemu
def test_bytes_outside_the_disk_are_refused(variant: tuple[str, str, Path, bytes]) -> None:
    _, _, path, _ = variant
    with open_disk(path) as reader:
        for place in (-1, SIZE - 1):
            with pytest.raises(InvalidInput, match=path.name):
                reader.read_into(place, memoryview(bytearray(2)))


@needs_qemu
@pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"raw"}), indirect=True)
def test_image_cut_short_is_damaged_and_says_which_file(variant: tuple[str, str, Path, bytes]) -> None:
    _, image_format, path, _ = variant
    holder = next(iter(sorted(path.parent.glob("image-*"))), path)
    os.truncate(holder, holder.stat().st_size // 2)
    with pytest.raises(DiskDamaged, match=holder.stem), open_disk(path, image_format) as reader:
        read_all(reader)


@pytest.mark.parametrize("image_format", ["qcow2", "vmdk", "vhdx"])
@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"\0" * 4096, b"vhdxfile" * 100, b"KDMV" * 200])
def test_file_of_another_kind_is_damaged(tmp_path: Path, image_format: str, content: bytes) -> None:
    path = tmp_path / "some.img"
    path.write_bytes(content)
    with pytest.raises(DiskDamaged, match=r"some\.img"):
        open_disk(path, image_format)


@pytest.mark.parametrize("image_format", [None, "raw", "qcow2", "vmdk", "vhdx"])
def test_missing_file_is_missing(tmp_path: Path, image_format: str | None) -> None:
    with pytest.raises(DiskMissing, match="nowhere"):
        open_disk(tmp_path / "nowhere", image_format)


def test_folders_and_pipes_are_no_disks_and_nobody_waits_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(DiskDamaged, match=path.name):
            open_disk(path, "raw")


def test_unknown_format_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'vdi'.*raw, qcow2, vmdk, vhdx"):
        open_disk(tmp_path / "disk", "vdi")


@needs_qemu
@pytest.mark.parametrize("image_format", ["qcow2", "vmdk"])
def test_snapshot_that_stands_on_another_file_is_refused(tmp_path: Path, image_format: str) -> None:
    base, top = tmp_path / f"base.{image_format}", tmp_path / f"top.{image_format}"
    qemu_img("create", "-f", image_format, base, "8M")
    qemu_img("create", "-f", image_format, "-b", base, "-F", image_format, top)
    with pytest.raises(Unsupported, match=r"top\.") as caught:
        open_disk(top)
    assert "qemu-img convert" in caught.value.hint


def test_vmdk_descriptor_opens_nothing_beyond_its_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1024))
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    for name in ("../secret", str(secret), "link", ""):
        (folder / "disk.vmdk").write_text(
            f'# Disk DescriptorFile\nparentCID=ffffffff\nRW 2 FLAT "{name}" 0\n'
        )
        with pytest.raises(DiskDamaged, match=r"disk\.vmdk"):
            open_disk(folder / "disk.vmdk")
