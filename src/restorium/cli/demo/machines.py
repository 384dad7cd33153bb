"""The demo's VMs: a disk image with a real file system each, and a description beside it."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from restorium.cli.demo.fat32 import write_fat32
from restorium.cli.demo.files import write_tree
from restorium.disks import create_disk, open_disk, reopen_disk
from restorium.vocabulary.errors import HostError

_MIB = 1 << 20
_DISK_BYTES = 320 * _MIB
_BUFFER_BYTES = 4 * _MIB
CHANGE_BYTES = 64 * 1024
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM of the image folder. ``places`` are offsets in its disk where the contents of files begin."""

    name: str
    disk: Path
    format: str
    file_system: str
    places: tuple[int, ...]

    def change(self) -> int:
        """Overwrite 64 KiB in every second file, as a running system would; gives the bytes written."""
        chosen = self.places[::2]
        with reopen_disk(self.disk, _DISK_BYTES, self.format) as writer:
            for place in chosen:
                writer.write(place, os.urandom(CHANGE_BYTES))
            writer.flush()
        return len(chosen) * CHANGE_BYTES


def make_machine(folder: Path, name: str, disk_format: str) -> Machine:
    """Make a VM in ``folder``: files in a file system on a disk of ``disk_format``, and a description."""
    disk = folder / f"{name}.{disk_format}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as work:
        tree, plain = Path(work) / "files", Path(work) / "plain"
        files = write_tree(tree)
        file_system = _make_file_system(plain, tree)
        places = _find(plain, files)
        if disk_format == "raw":
            plain.replace(disk)
        else:
            _convert(plain, disk, disk_format)
    (folder / f"{name}.vm.toml").write_text(
        f'name = "{name}"\nmemory_mib = 64\ncpus = 1\n\n'
        f'[[disk]]\nkey = "disk0"\nfile = "{disk.name}"\nformat = "{disk_format}"\n'
    )
    return Machine(name, disk, disk_format, file_system, places)


def digest(disk: Path) -> str:
    """SHA-256 of a raw disk's file."""
    with disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_file_system(image: Path, tree: Path) -> str:
    tool = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        write_fat32(image, _DISK_BYTES, tree)
        return "FAT32"
    command = [tool, "-q", "-F", "-d", str(tree), str(image), f"{_DISK_BYTES // _MIB}M"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments
    if made.returncode:
        raise HostError(
            f"{tool} could not make {image}: {made.stderr.strip()}", hint="Check the disk's free space."
        )
    return "ext4"


def _find(image: Path, files: list[Path]) -> tuple[int, ...]:
    """Where in ``image`` each file's content begins. Most lie in the order in which they were written."""
    found, start = [], 0
    with image.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as content:
        for file in files:
            with file.open("rb") as source:
                beginning = source.read(_SECTOR)
            place = content.find(beginning, start)
            if place < 0:
                place = content.find(beginning)
            if place < 0:
                raise HostError(
                    f"{file.name} is not in {image}", hint="The file system tool may compress; use another."
                )
            found.append(place)
            start = place
    return tuple(found)


def _convert(plain: Path, disk: Path, disk_format: str) -> None:
    with open_disk(plain, "raw") as reader:
        extents = list(reader.extents())
        with create_disk(disk, reader.size, disk_format, extents) as writer:
            for extent in extents:
                if extent.hole:
                    continue
                for offset in range(extent.offset, extent.end, _BUFFER_BYTES):
                    buffer = memoryview(bytearray(min(_BUFFER_BYTES, extent.end - offset)))
                    reader.read_into(offset, buffer)
                    writer.write(offset, buffer)
            writer.flush()
