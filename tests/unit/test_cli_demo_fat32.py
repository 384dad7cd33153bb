"""The demo's FAT32 volumes, read by another implementation and by the file system's own checker."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dissect.fat.fat import FATFS

from restorium.cli.demo.fat32 import write_fat32
from restorium.vocabulary.errors import InvalidInput

_MIB = 1 << 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "DOCS" / "DEEP").mkdir(parents=True)
    (root / "EMPTY").mkdir()
    (root / "README.TXT").write_bytes(b"read me")
    (root / "NOTHING").write_bytes(b"")
    (root / "DOCS" / "BIG.BIN").write_bytes(os.urandom(3 * _MIB + 17))
    for number in range(200):
        (root / "DOCS" / "DEEP" / f"F{number:03}.DAT").write_bytes(os.urandom(number * 41))
    return root


def test_every_file_reads_back_through_another_implementation(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "volume"
    write_fat32(image, 300 * _MIB, tree)
    with image.open("rb") as file:
        volume = FATFS(file)
        for path in tree.rglob("*"):
            entry = volume.get("/" + path.relative_to(tree).as_posix())
            if path.is_dir():
                names = {child.name for child in entry.iterdir()} - {".", ".."}
                assert names == {child.name for child in path.iterdir()}
            else:
                assert entry.size == path.stat().st_size
                assert entry.size == 0 or entry.open().read() == path.read_bytes()


@pytest.mark.skipif(shutil.which("fsck.fat") is None, reason="fsck.fat is not installed")
def test_checker_finds_nothing(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "volume"
    write_fat32(image, 300 * _MIB, tree)
    checked = subprocess.run(["fsck.fat", "-n", image], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "206 files" in checked.stdout


def test_volume_too_small_for_its_files_is_refused(tree: Path, tmp_path: Path) -> None:
    (tree / "HUGE.BIN").touch()
    os.truncate(tree / "HUGE.BIN", 300 * _MIB)
    with pytest.raises(InvalidInput, match="do not fit"):
        write_fat32(tmp_path / "volume", 300 * _MIB, tree)


def test_size_below_fat32_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="too few"):
        write_fat32(tmp_path / "volume", 64 * _MIB, tree)


def test_long_name_is_refused(tree: Path, tmp_path: Path) -> None:
    (tree / "a long name.text").touch()
    with pytest.raises(InvalidInput, match="a long name"):
        write_fat32(tmp_path / "volume", 300 * _MIB, tree)
