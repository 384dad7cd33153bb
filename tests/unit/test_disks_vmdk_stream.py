"""Stream-optimised vmdk: what is sent reads in qemu-img as the disk, what qemu-img makes is read, damage is said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restorium.disks.interface import Extent, data_extents
from restorium.disks.vmdk.layout import GRAIN
from restorium.disks.vmdk.stream import VmdkStream, encoded, stream_length
from restorium.vocabulary.errors import DiskDamaged, InvalidInput, RestoriumError, Unsupported
from tests.support.disks import MIB, image_contents, needs_qemu, qemu_img

SIZE = 70 * MIB + 512  # over two tables' grains, and no whole number of grains
PLACES = {0: 70_000, 5 * MIB + 512: 512, 33 * MIB: 3 * GRAIN, SIZE - 1024: 1024}


def _disk() -> tuple[bytes, list[Extent]]:
    content, extents, at = bytearray(SIZE), [], 0
    for offset, length in PLACES.items():
        content[offset : offset + length] = random.Random(offset).randbytes(length)
        if offset > at:
            extents.append(Extent(at, offset - at, hole=True))
        extents.append(Extent(offset, length, hole=False))
        at = offset + length
    return bytes(content), extents


def _pieces(content: bytes, extents: list[Extent], step: int = 50_000) -> Iterator[tuple[int, bytes]]:
    for extent in data_extents(extents):
        for at in range(extent.offset, extent.end, step):
            yield at, content[at : min(at + step, extent.end)]


def _parts(stream: bytes, step: int = 10_007) -> Iterator[bytes]:
    return (stream[at : at + step] for at in range(0, len(stream), step))


def _received(stream: bytes) -> bytes:
    vmdk = VmdkStream(_parts(stream), "disk 0")
    content = bytearray(vmdk.size)
    for offset, grain in vmdk.grains():
        content[offset : offset + len(grain)] = grain
    return bytes(content)


@pytest.fixture(scope="module")
def sent() -> bytes:
    content, extents = _disk()
    return b"".join(encoded(SIZE, _pieces(content, extents)))


@needs_qemu
def test_what_is_sent_is_the_disk_and_as_long_as_was_said(sent: bytes, tmp_path: Path) -> None:
    content, extents = _disk()
    assert len(sent) == stream_length(SIZE, extents)
    assert len(sent) < 2 * MIB
    (tmp_path / "disk.vmdk").write_bytes(sent)
    assert "streamOptimized" in qemu_img("info", tmp_path / "disk.vmdk")
    assert image_contents(tmp_path / "disk.vmdk", "vmdk") == content
    assert _received(sent) == content


@needs_qemu
def test_what_qemu_img_compresses_is_read(tmp_path: Path) -> None:
    content, _ = _disk()
    (tmp_path / "raw").write_bytes(content)
    qemu_img(
        *("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"),
        *(tmp_path / "raw", tmp_path / "disk.vmdk"),
    )
    compressed = (tmp_path / "disk.vmdk").read_bytes()
    assert (
        _received(compressed + bytes(-len(compressed) % 512 + 512)) == content
    )  # it leaves the end marker out


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 599), st.integers(1, 200)), max_size=5),
    st.integers(601, 900),
    st.integers(1, 1 << 20),
)
def test_any_disk_comes_out_as_it_went_in(runs: list[tuple[int, int]], sectors: int, step: int) -> None:
    content, extents, at = bytearray(sectors * 512), [], 0
    for start, count in sorted(runs):
        first, end = max(start, at), min(start + count, sectors)
        if first >= end:
            continue
        content[first * 512 : end * 512] = random.Random(first).randbytes((end - first) * 512)
        extents.append(Extent(first * 512, (end - first) * 512, hole=False))
        at = end
    stream = b"".join(encoded(len(content), _pieces(bytes(content), extents, step)))
    assert len(stream) == stream_length(len(content), extents)
    assert _received(stream) == content


def test_a_stream_that_stops_anywhere_is_damage(sent: bytes) -> None:
    for length in (0, 100, 512, 70_000, len(sent) // 2, len(sent) - 512):
        with pytest.raises(DiskDamaged, match="disk 0"):
            _received(sent[:length])


def test_a_damaged_stream_is_never_more_than_an_error(sent: bytes) -> None:
    choose = random.Random(7)
    for _ in range(100):
        damaged = bytearray(sent)
        damaged[choose.choice((choose.randrange(512), choose.randrange(len(sent))))] ^= 1 << choose.randrange(
            8
        )
        try:
            for _ in VmdkStream(_parts(bytes(damaged)), "disk 0").grains():
                pass
        except RestoriumError as error:
            assert isinstance(error, (DiskDamaged, Unsupported)), error


def test_grains_out_of_order_are_refused(sent: bytes) -> None:
    grain, second = 128 * 512, 65_552 + 12
    length = -(-second // 512) * 512
    turned = (
        sent[:grain]
        + sent[grain + length : grain + 2 * length]
        + sent[grain : grain + length]
        + sent[grain + 2 * length :]
    )
    with pytest.raises(DiskDamaged, match="after byte"):
        _received(turned)


@needs_qemu
def test_an_image_that_is_no_stream_is_refused(tmp_path: Path) -> None:
    qemu_img("create", "-f", "vmdk", tmp_path / "disk.vmdk", "1M")
    with pytest.raises(Unsupported, match="no stream"):
        _received((tmp_path / "disk.vmdk").read_bytes())


def test_more_than_the_format_addresses_is_refused() -> None:
    size = 3 << 40
    with pytest.raises(InvalidInput, match="2 TiB"):
        stream_length(size, [Extent(0, size, hole=False)])
