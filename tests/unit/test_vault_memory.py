"""What a backup and a restore need of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_MIB = 1 << 20


def _peak(folder: Path, *numbers: int) -> int:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.support.memory_child", str(folder), *map(str, numbers)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_disk(tmp_path: Path) -> None:
    small = _peak(tmp_path / "small", 512 * _MIB)
    large = _peak(tmp_path / "large", 4096 * _MIB)
    assert large < small + 24 * _MIB
    assert large < 150 * _MIB


@pytest.mark.slow
def test_a_sparse_disk_of_64_gib_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    small = _peak(tmp_path / "small", 4096 * _MIB, 16 * _MIB)
    large = _peak(tmp_path / "large", 65536 * _MIB, 16 * _MIB)
    assert large < small + 24 * _MIB
    assert large < 150 * _MIB
