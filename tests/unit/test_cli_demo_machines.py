"""The demo's VMs."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from dissect.fat.fat import FATFS

from restorium.cli.demo.files import FILES
from restorium.cli.demo.machines import digest, make_machine
from restorium.disks import open_disk

_MIB = 1 << 20


def _content(path: Path) -> bytes:
    with open_disk(path) as reader:
        content = bytearray(reader.size)
        reader.read_into(0, memoryview(content))
    return bytes(content)


def test_machine_without_ext4_tools_gets_a_fat_volume_with_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    machine = make_machine(tmp_path, "web", "raw")
    assert machine.file_system == "FAT32"
    with machine.disk.open("rb") as file:
        files = [entry for folder in FATFS(file).get("/").iterdir() for entry in folder.iterdir()]
        assert sum(entry.size > 0 for entry in files if entry.name not in (".", "..")) == FILES
    [disk] = tomllib.loads((tmp_path / "web.vm.toml").read_text())["disk"]
    assert disk["file"] == machine.disk.name


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed")
@pytest.mark.slow
def test_change_overwrites_the_files_named_and_nothing_else(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, "mail", "qcow2")
    assert machine.file_system == "ext4"
    before = _content(machine.disk)
    written = machine.change()
    after = _content(machine.disk)
    block = 64 * 1024
    changed = {
        place for place in machine.places if before[place : place + block] != after[place : place + block]
    }
    assert changed == set(machine.places[::2])
    assert sum(
        a != b for a, b in zip(_blocks(before), _blocks(after), strict=True)
    ) * 4096 <= written + 4096 * len(changed)


def _blocks(content: bytes) -> list[bytes]:
    return [content[start : start + 4096] for start in range(0, len(content), 4096)]


def test_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"abc")
    assert digest(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
