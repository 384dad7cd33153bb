"""Differencing vhdx images with their parents."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from dissect.hypervisor.disk.vhdx import VHDX

from restorium.disks import open_disk
from restorium.disks.files import ImageFile
from restorium.disks.interface import DiskReader
from restorium.disks.vhdx import read_vhdx
from restorium.vocabulary.errors import DiskDamaged, Unsupported
from tests.support.differencing import SECTOR, write_difference
from tests.support.disks import MIB, check_cover, read_all, write_image

_SIZE = 6 * MIB
_PER_BLOCK = MIB // SECTOR


class Chain:
    """A disk with two that build on it, the newest first, and what the newest two hold."""

    def __init__(self, tmp_path: Path) -> None:
        base, middle, newest = (tmp_path / f"{name}.vhdx" for name in ("base", "middle", "newest"))
        self.paths = [newest, middle, base]
        content = random.Random(1).randbytes(3 * MIB) + bytes(2 * MIB)
        write_image(base, content, "vhdx")
        source = random.Random(2)
        some = {source.randrange(4 * _PER_BLOCK): source.randbytes(SECTOR) for _ in range(500)}
        write_difference(middle, base, 5 * MIB, some)
        self.middle = _changed(content, some)
        whole = {2 * _PER_BLOCK + at: source.randbytes(SECTOR) for at in range(_PER_BLOCK)}
        few = {at: source.randbytes(SECTOR) for at in (0, 1, 7, 8, 9, 4095, 5 * _PER_BLOCK + 2)}
        write_difference(newest, middle, _SIZE, {**whole, **few}, zeros=frozenset({3}))
        before = self.middle[: 3 * MIB] + bytes(MIB) + self.middle[4 * MIB :] + bytes(MIB)
        self.newest = _changed(before, {**whole, **few})


def _changed(content: bytes, sectors: Mapping[int, bytes]) -> bytes:
    changed = bytearray(content)
    for number, data in sectors.items():
        changed[number * SECTOR : (number + 1) * SECTOR] = data
    return bytes(changed)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def _opened(paths: list[Path]) -> DiskReader:
    return read_vhdx(ImageFile.to_read(paths[0]), iter([ImageFile.to_read(path) for path in paths[1:]]))


def test_a_disk_reads_as_all_of_its_chain_together(chain: Chain) -> None:
    with _opened(chain.paths[1:]) as reader:
        assert read_all(reader) == chain.middle
        check_cover(reader, chain.middle)
    assert VHDX(chain.paths[1]).read(5 * MIB) == chain.middle, "dissect reads the same of the file"
    with _opened(chain.paths) as reader:
        assert read_all(reader) == chain.newest
        check_cover(reader, chain.newest)
        piece = memoryview(bytearray(1000))
        for offset in range(0, _SIZE - 1000, 99_991):
            reader.read_into(offset, piece)
            assert piece == chain.newest[offset : offset + 1000]


def test_a_part_of_a_chain_is_refused(chain: Chain) -> None:
    newest, middle, _ = chain.paths
    with pytest.raises(Unsupported, match=r"newest\.vhdx is a snapshot's part"):
        open_disk(newest)
    with pytest.raises(Unsupported, match=r"middle\.vhdx is a snapshot's part"):
        _opened([newest, middle])


def test_a_parent_that_was_changed_or_is_another_is_refused(chain: Chain) -> None:
    newest, _, base = chain.paths
    with pytest.raises(DiskDamaged, match=r"newest\.vhdx does not build on .*base\.vhdx"):
        _opened([newest, base])
