"""Disk images for tests: made, copied, read whole, and looked at with QEMU's own tools."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from restorium.disks import create_disk, open_disk
from restorium.disks.interface import DiskReader, DiskWriter, Extent

MIB = 1 << 20
CLUSTER = 1 << 16

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def qemu_img(*arguments: str | Path) -> str:
    """Run qemu-img; its output. A failure fails the test."""
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def image_contents(path: Path, image_format: str) -> bytes:
    """What the disk in an image holds, in use or not, by QEMU's own reading."""
    if image_format == "raw":
        return path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain"
        qemu_img("convert", "-U", "-f", image_format, "-O", "raw", path, plain)
        return plain.read_bytes()


def pieces(seed: int, size: int, count: int, longest: int = 100_000) -> dict[int, bytes]:
    """Random data for a disk, by offset."""
    source = random.Random(seed)
    lengths = [source.randrange(1, longest) for _ in range(count)]
    return {source.randrange(size - length): source.randbytes(length) for length in lengths}


def write_sparse(path: Path, size: int, content: dict[int, bytes]) -> bytes:
    """A sparse raw image; gives all of its bytes."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in content.items():
            file.seek(offset)
            file.write(data)
    return path.read_bytes()


def write_image(
    path: Path, content: bytes, image_format: str, extents: Iterable[Extent] | None = None
) -> None:
    """An image of our own writing. ``extents``: all data if None."""
    whole = [Extent(0, len(content), hole=False)] if content else []
    planned = whole if extents is None else list(extents)
    with create_disk(path, len(content), image_format, planned) as writer:
        copy_bytes(content, planned, writer)
        writer.flush()


def copy_bytes(content: bytes, extents: Iterable[Extent], writer: DiskWriter) -> None:
    """What the extents hold of ``content``."""
    for extent in extents:
        if not extent.hole:
            writer.write(extent.offset, content[extent.offset : extent.end])


def read_all(source: Path | DiskReader, image_format: str | None = None) -> bytes:
    """All bytes of a disk, read in odd portions, into buffers that are not clean."""
    if isinstance(source, Path):
        with open_disk(source, image_format) as reader:
            return read_all(reader)
    content = bytearray(b"\xa5" * source.size)
    for offset in range(0, source.size, 300_001):
        source.read_into(offset, memoryview(content)[offset : offset + 300_001])
    return bytes(content)


def check_cover(reader: DiskReader, content: bytes) -> list[Extent]:
    """The extents of a disk with ``content``: they must cover it, and holes must be zeros."""
    extents = list(reader.extents())
    position = 0
    for extent in extents:
        assert extent.offset == position
        assert extent.length > 0
        if extent.hole:
            assert not any(content[extent.offset : extent.end])
        position = extent.end
    assert position == reader.size
    return extents
