"""Writing images: what a restore, a crash and a full disk make of them."""

from __future__ import annotations

import errno
import os
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from restorium.disks import WRITTEN_FORMATS, create_disk, open_disk, reopen_disk
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError, InvalidInput, TargetFull
from tests.support.disks import CLUSTER, MIB, check_cover, needs_qemu, qemu_img, read_all, write_image

SIZE = 8 * MIB
DATA = Extent(2 * MIB, 3 * MIB, hole=False)
MAPPED = [each for each in WRITTEN_FORMATS if each != "raw"]
"""Formats whose images take writes only where they have room for data."""
EXTENTS = [Extent(0, 2 * MIB, hole=True), DATA, Extent(5 * MIB, 3 * MIB, hole=True)]


@pytest.fixture(params=WRITTEN_FORMATS)
def image_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_new_image_reads_as_zeros_and_takes_little_room(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "disk"
    with create_disk(path, SIZE, image_format, EXTENTS) as writer:
        assert writer.size == SIZE
        writer.flush()
    assert read_all(path, image_format) == bytes(SIZE)
    assert path.stat().st_blocks * 512 <= 6 * CLUSTER


def test_parts_written_by_many_threads_in_any_order_are_all_there(tmp_path: Path, image_format: str) -> None:
    content = random.Random(3).randbytes(DATA.length)
    places = list(range(0, DATA.length, 50_000))
    random.Random(4).shuffle(places)
    with (
        create_disk(tmp_path / "disk", SIZE, image_format, EXTENTS) as writer,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(lambda at: writer.write(DATA.offset + at, content[at : at + 50_000]), places))
    with open_disk(tmp_path / "disk", image_format) as reader:
        whole = read_all(reader)
        extents = check_cover(reader, whole)
    assert whole == bytes(DATA.offset) + content + bytes(SIZE - DATA.end)
    assert extents == EXTENTS


def test_second_image_of_a_name_has_nothing_of_the_first(tmp_path: Path, image_format: str) -> None:
    path, kept = tmp_path / "disk", tmp_path / "kept"
    write_image(path, b"x" * SIZE, image_format)
    os.link(path, kept)
    create_disk(path, SIZE, image_format, EXTENTS).close()
    assert read_all(path, image_format) == bytes(SIZE)
    assert read_all(kept, image_format) == b"x" * SIZE


def test_reopened_image_goes_on_where_it_was(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "disk"
    with create_disk(path, SIZE, image_format, EXTENTS) as writer:
        writer.write(DATA.offset, b"first")
        writer.flush()
    with reopen_disk(path, SIZE, image_format) as writer:
        writer.write(DATA.end - 6, memoryview(b"second"))
    content = read_all(path, image_format)
    assert content[DATA.offset :].startswith(b"first")
    assert content[: DATA.end].endswith(b"second")


def test_reopening_asks_for_the_same_size(tmp_path: Path, image_format: str) -> None:
    create_disk(tmp_path / "disk", SIZE, image_format, EXTENTS).close()
    with pytest.raises(DiskDamaged, match=rf"disk .*{SIZE} bytes, not {2 * SIZE}"):
        reopen_disk(tmp_path / "disk", 2 * SIZE, image_format)
    with pytest.raises(DiskMissing):
        reopen_disk(tmp_path / "other", SIZE, image_format)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_storage_says_so(
    tmp_path: Path, image_format: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with create_disk(tmp_path / "disk", SIZE, image_format, EXTENTS) as writer:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(TargetFull, match="disk"):
            writer.write(DATA.offset, b"more")
        monkeypatch.setattr(os, "fdatasync", full)
        with pytest.raises(TargetFull, match="disk"):
            writer.flush()


def test_writes_that_the_system_cuts_short_are_completed(
    tmp_path: Path, image_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    content = random.Random(5).randbytes(DATA.length)
    with create_disk(tmp_path / "disk", SIZE, image_format, EXTENTS) as writer:
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:70_001], at))
        writer.write(DATA.offset, content)
    assert read_all(tmp_path / "disk", image_format)[DATA.offset : DATA.end] == content


@pytest.mark.parametrize("place", [-1, SIZE - 1])
def test_writes_beyond_the_disk_are_refused(tmp_path: Path, image_format: str, place: int) -> None:
    whole = [Extent(0, SIZE, hole=False)]
    with (
        create_disk(tmp_path / "disk", SIZE, image_format, whole) as writer,
        pytest.raises(InvalidInput, match="disk"),
    ):
        writer.write(place, b"xx")


def test_formats_that_are_not_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'qed'.*raw, qcow2, vmdk, vhdx"):
        create_disk(tmp_path / "disk", SIZE, "qed", EXTENTS)
    with pytest.raises(InvalidInput, match="qed"):
        reopen_disk(tmp_path / "disk", SIZE, "qed")


@pytest.mark.parametrize("image_format", MAPPED)
def test_writes_to_a_hole_are_refused(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "disk"
    with create_disk(path, SIZE, image_format, EXTENTS) as writer:
        for place in (DATA.offset - 1, DATA.end - 1):
            with pytest.raises(InvalidInput, match=r"disk have no (cluster|block)"):
                writer.write(place, b"xx")
    assert len(read_all(path, image_format)) == SIZE


@pytest.mark.parametrize("image_format", MAPPED)
def test_blocks_that_data_touches_only_in_part_are_there(tmp_path: Path, image_format: str) -> None:
    content = bytearray(SIZE)
    spans = [Extent(CLUSTER - 1, 2, hole=False), Extent(5 * CLUSTER + 7, 1, hole=False)]
    for span in spans:
        content[span.offset : span.end] = b"ab"[: span.length]
    write_image(tmp_path / "disk", bytes(content), image_format, spans)
    assert read_all(tmp_path / "disk", image_format) == content


@pytest.mark.parametrize("image_format", MAPPED)
def test_disk_of_a_size_that_the_format_has_not_is_refused(tmp_path: Path, image_format: str) -> None:
    for size in (1000,) if image_format == "qcow2" else (0, 1000):
        with pytest.raises(InvalidInput, match="whole sectors"):
            create_disk(tmp_path / "disk", size, image_format, [])


@pytest.mark.parametrize("image_format", MAPPED)
def test_image_that_was_not_laid_out_to_its_end_is_none(
    tmp_path: Path, image_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write is the last before a crash: either all of the layout is there, or no image."""
    real = os.pwrite
    path = tmp_path / "disk"
    for last in range(20):
        calls = count()

        def write(file: int, data: memoryview, at: int, calls: count[int] = calls, last: int = last) -> int:
            if next(calls) >= last:
                raise OSError(errno.EIO, "power cut")
            return real(file, data, at)

        monkeypatch.setattr(os, "pwrite", write)
        try:
            create_disk(path, SIZE, image_format, EXTENTS).close()
        except HostError as error:
            assert "power cut" in error.message
            with pytest.raises(DiskDamaged):
                reopen_disk(path, SIZE, image_format)
            continue
        assert last > 3
        assert read_all(path, image_format) == bytes(SIZE)
        return
    pytest.fail("the layout never came to its end")


@needs_qemu
@pytest.mark.parametrize("image_format", MAPPED)
@pytest.mark.parametrize("size", [512, CLUSTER, 100 * MIB + 512, 700 * MIB])
def test_qemu_finds_nothing_wrong_with_our_images(tmp_path: Path, image_format: str, size: int) -> None:
    image, plain = tmp_path / "disk", tmp_path / "disk.raw"
    count = min(size // 512, 9)
    spans = [Extent(size // 512 * number // count * 512, 512, hole=False) for number in range(count)]
    for path, its_format in ((image, image_format), (plain, "raw")):
        with create_disk(path, size, its_format, spans) as writer:
            for span in spans:
                writer.write(span.offset, random.Random(span.offset).randbytes(512))
    assert "No errors" in qemu_img("check", "-f", image_format, image)
    assert "identical" in qemu_img("compare", "-f", image_format, "-F", "raw", image, plain)


@pytest.mark.slow
@needs_qemu
@pytest.mark.parametrize("image_format", MAPPED)
def test_metadata_of_400_gib_is_small_and_whole(tmp_path: Path, image_format: str) -> None:
    path, size = tmp_path / "disk", 400 << 30
    create_disk(path, size, image_format, [Extent(0, size, hole=False)]).close()
    assert path.stat().st_blocks * 512 < 80 * MIB
    if image_format == "qcow2":  # of the others QEMU reads every entry by itself, for half a minute
        assert "No errors" in qemu_img("check", path)
    with reopen_disk(path, size, image_format) as writer:
        writer.write(size - 3, b"end")
    with open_disk(path) as reader:
        tail = bytearray(4)
        reader.read_into(size - 4, memoryview(tail))
        assert tail == b"\0end"
        assert list(reader.extents()) == [Extent(0, size, hole=False)]
