"""Processes that are killed, run out of room, or write at the same time; what must hold after."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.vault import DiskRecord
from restorium.vocabulary.errors import RepositoryFull
from tests.support.vaults import CHUNK, MemoryDisk, back_up, new_vault, open_vault, restored
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

CHUNKS = 240
ROOT = Path(__file__).parents[2]

WRITER = """
import os, random, resource, signal, sys
from pathlib import Path
from restorium.vault.packwriter import PackWriter
from restorium.vocabulary.errors import RepositoryFull
from tests.support.vaults import CHUNK, MemoryDisk, back_up, open_vault

folder, cache = Path(sys.argv[1]), sys.argv[2]
seed, limit, last_pack = map(int, sys.argv[3:])
put, stored = PackWriter._put, []

def deadly(*arguments):
    put(*arguments)
    stored.append(1)
    if len(stored) == last_pack:
        os.kill(os.getpid(), signal.SIGKILL)

PackWriter._put = deadly
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
content = random.Random(seed).randbytes({chunks} * CHUNK)
print("ready", flush=True)
sys.stdin.readline()
try:
    name, _ = back_up(open_vault(folder, cache=cache), MemoryDisk(content))
except RepositoryFull as error:
    print("full", error.message, flush=True)
else:
    print("done", name, flush=True)
"""


def content_of(seed: int) -> bytes:
    return random.Random(seed).randbytes(CHUNKS * CHUNK)


class Writer:
    """A process that backs up ``content_of(seed)`` when told to go, and dies once ``last_pack`` packs are stored."""

    def __init__(
        self, folder: Path, seed: int, cache: str = "cache", limit: int = 0, last_pack: int = 0
    ) -> None:
        arguments = [str(folder), cache, str(seed), str(limit), str(last_pack)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(chunks=CHUNKS), *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    started: list[Writer] = []
    yield started
    for writer in started:
        writer.close()


def packs(folder: Path) -> list[Path]:
    return list((folder / "vault" / "packs").glob("*/*"))


@pytest.mark.parametrize("packs_before_the_kill", [0, 1, 3])
def test_a_backup_killed_in_the_middle_costs_nothing_but_the_rest(
    tmp_path: Path, writers: list[Writer], packs_before_the_kill: int
) -> None:
    vault = new_vault(tmp_path)
    _, older = back_up(vault, MemoryDisk(content_of(1)[: 8 * CHUNK]))
    vault.close()
    before = len(packs(tmp_path))
    writers.append(Writer(tmp_path, seed=2, last_pack=packs_before_the_kill))
    writers[0].go()
    if packs_before_the_kill:
        assert writers[0].process.wait(60) == -signal.SIGKILL
    else:
        parts = tmp_path / "vault" / "parts"
        wait_until(lambda: parts.is_dir() and any(parts.iterdir()))
        writers[0].kill()
    assert len(packs(tmp_path)) >= before + packs_before_the_kill

    vault = open_vault(tmp_path)
    assert len(vault.points()) == 1
    assert restored(vault, older) == content_of(1)[: 8 * CHUNK]
    assert vault.verify().findings == ()
    stored = vault.usage().stored_bytes
    assert stored >= packs_before_the_kill * 15 * 1024 * 1024
    _, record = back_up(vault, MemoryDisk(content_of(2)))
    assert restored(vault, record) == content_of(2)
    # What the killed backup stored was not stored again.
    assert vault.usage().stored_bytes <= (CHUNKS + 8) * CHUNK * 1.01


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path, writers: list[Writer]) -> None:
    new_vault(tmp_path).close()
    # The first two share a local index, the third has its own, and two write the same content.
    for seed, cache in ((1, "cache"), (2, "cache"), (1, "elsewhere")):
        writers.append(Writer(tmp_path, seed, cache))
    for writer in writers:
        writer.go()
    names = [writer.line().removeprefix("done ") for writer in writers]
    vault = open_vault(tmp_path, cache="new")
    assert vault.points() == sorted(names)
    for seed, name in zip((1, 2, 1), names, strict=True):
        (disk,) = vault.point(name).disks
        assert restored(vault, disk) == content_of(seed)
    assert vault.verify().findings == ()


def test_a_write_that_the_file_system_refuses_is_a_full_repository(
    tmp_path: Path, writers: list[Writer]
) -> None:
    vault = new_vault(tmp_path)
    _, older = back_up(vault, MemoryDisk(b"x" * CHUNK))
    vault.close()
    writers.append(Writer(tmp_path, seed=2, limit=4 * 1024 * 1024))
    writers[0].go()
    assert writers[0].line().startswith("full file://")
    check_after_full(tmp_path, older)


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """One of 40 MiB, with a vault's folder on it."""
    folder = tmp_path / "vault"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this account cannot mount a file system")
    yield tmp_path
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_file_system_ends_the_backup_and_after_making_room_it_works(small_file_system: Path) -> None:
    vault = new_vault(small_file_system)
    _, older = back_up(vault, MemoryDisk(b"x" * CHUNK))
    with pytest.raises(RepositoryFull, match="no room left"):
        back_up(vault, MemoryDisk(content_of(2)))
    vault.close()
    remount = ["mount", "-o", "remount,size=200m", str(small_file_system / "vault")]
    subprocess.run(remount, check=True)
    check_after_full(small_file_system, older)


def check_after_full(folder: Path, older: DiskRecord) -> None:
    vault = open_vault(folder)
    assert len(vault.points()) == 1
    assert restored(vault, older) == b"x" * CHUNK
    assert list((folder / "vault" / "parts").iterdir()) == []
    _, record = back_up(vault, MemoryDisk(content_of(2)))
    assert restored(vault, record) == content_of(2)
    assert vault.verify().findings == ()
    vault.close()


MEASURE = """
import sys
from pathlib import Path
from restorium.disks.interface import Extent
from tests.support.vaults import CHUNK, CREATED, MemoryDisk, new_vault, open_vault
from restorium.vault import PointDescription

class Sparse(MemoryDisk):
    '''A disk of any size: in each GiB 16 MiB of data, the same chunks again from the third GiB on.'''
    def __init__(self, size):
        super().__init__(b"")
        self.large = size
    @property
    def size(self):
        return self.large
    def extents(self):
        for start in range(0, self.large, 1 << 30):
            yield Extent(start, 16 << 20, hole=False)
            yield Extent(start + (16 << 20), (1 << 30) - (16 << 20), hole=True)
    def read_into(self, offset, buffer):
        for start in range(0, len(buffer), 4096):
            place = (offset + start) % (3 << 30)
            buffer[start : start + 4096] = place.to_bytes(8, "big") * 512

class Nowhere(Sparse):
    def write(self, offset, data):
        pass

folder, size = Path(sys.argv[1]), int(sys.argv[2])
vault = new_vault(folder)
with vault.backup() as writer:
    disk = writer.write_disk("disk", Sparse(size), None, lambda count: None, lambda: False)
    writer.commit(PointDescription({}, CREATED, (disk,)))
vault.restore_disk(disk, Nowhere(size))
vault.verify_disk(disk, Sparse(size))
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_memory_is_the_same_for_a_small_disk_and_a_hundred_times_larger_one(tmp_path: Path) -> None:
    """By the kernel's own mark of this process; that of getrusage counts the process that started it."""
    peaks = []
    for size in (4 << 30, 400 << 30):
        folder = tmp_path / str(size)
        folder.mkdir()
        measured = subprocess.run(
            [sys.executable, "-c", MEASURE, str(folder), str(size)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(measured.stdout))
    assert max(peaks) < 150, peaks
    assert peaks[1] - peaks[0] < 15, peaks
