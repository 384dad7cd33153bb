"""R10: the lists of changes of a VM under real QEMU, whatever happens to it between its backups."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from restorium.disks.interface import DiskReader, Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Chain
from restorium.hosts.qemu.qmp import Refused
from tests.support.disks import qemu_img
from tests.support.labs.qemu import QemuLab
from tests.support.waiting import wait_until
from trials.common import Trial

_MIB = 1 << 20
_SIZES = {"disk0": 4 * _MIB, "disk1": 2 * _MIB}
_STEPS = 40
_SECTOR = 512
_WRITE_BYTES = (1, 700, 4096, 65536, 150_000)
_ACTS = {
    "write": 10,
    "keep a backup": 10,
    "drop a backup": 3,
    "kill a backup": 1,
    "start": 4,
    "shut down": 2,
    "kill the VM": 1,
    "grow": 1,
    "copy": 1,
    "put back": 1,
}
"""What happens, and how often."""
_DYING = """
import os, signal, sys
from restorium.hosts import open_host
from restorium.hosts.interface import Chain
from restorium.hosts.qemu.qmp import Refused
with open_host("qemu", sys.argv[1]).open_vm("web", Chain(sys.argv[2], {})):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(slots=True)
class _Job:
    """A chain, and what its last kept backup held."""

    name: str
    since: dict[str, str] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)


class _Case:
    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.lab = QemuLab(folder)
        self.host = open_host("qemu", self.lab.address)
        self.disks = {
            key: self.chance.randbytes(size // 2) + bytes(size // 2) for key, size in _SIZES.items()
        }
        self.ref = self.lab.add_vm("web", self.disks)
        self.copies: dict[str, bytes] = {}
        self.jobs = [_Job("nightly"), _Job("weekly")]

    def run(self) -> None:
        for _ in range(_STEPS):
            act = self.chance.choices(list(_ACTS), list(_ACTS.values()))[0]
            getattr(self, f"_{act.replace(' ', '_')}")()

    def _write(self) -> None:
        key = self.chance.choice(list(self.disks))
        disk = self.disks[key]
        length = min(self.chance.choice(_WRITE_BYTES), len(disk))
        offset = self.chance.randrange(len(disk) - length + 1)
        data = self.chance.randbytes(length)
        self.lab.write(self.ref, key, offset, data)
        self.disks[key] = disk[:offset] + data + disk[offset + length :]

    def _keep_a_backup(self) -> None:
        job = self.chance.choice(self.jobs)
        job.since = self._back_up(job)
        job.kept = dict(self.disks)

    def _drop_a_backup(self) -> None:
        self._back_up(self.chance.choice(self.jobs))

    def _kill_a_backup(self) -> None:
        command = [sys.executable, "-c", _DYING, self.lab.address, self.chance.choice(self.jobs).name]
        died = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        if not self.lab.runs(self.ref):
            wait_until(
                lambda: all(map(_is_free, self.lab.files(self.ref)))
            )  # qemu-storage-daemon ends orderly
        self.counts["backups killed"] += 1

    def _start(self) -> None:
        if not self.lab.runs(self.ref):
            self.lab.start(self.ref)
            self.counts["starts"] += 1

    def _shut_down(self) -> None:
        if self.lab.runs(self.ref):
            self.lab.stop(self.ref)

    def _kill_the_VM(self) -> None:  # noqa: N802  as it is told
        if self.lab.runs(self.ref):
            self.lab.kill(self.ref)
            self.counts["VMs killed"] += 1

    def _grow(self) -> None:
        key = self.chance.choice(list(self.disks))
        try:
            self._resize(key, len(self.disks[key]) + _MIB)
        except (Refused, AssertionError) as error:
            # QEMU grows no disk that is being backed up (one that was killed) or has a bitmap that is not whole.
            if "is in use" not in str(error) and "inconsistent" not in str(error):
                raise
            return
        self.disks[key] += bytes(_MIB)

    def _resize(self, key: str, size: int) -> None:
        if self.lab.runs(self.ref):
            with self.lab.qmp(self.ref) as qmp:
                device = self.lab.device(qmp, self.lab.file(self.ref, key))
                qmp.execute("block_resize", {"device": device, "size": size})
        else:
            qemu_img("resize", "-q", "-f", "qcow2", self.lab.file(self.ref, key), str(size))

    def _copy(self) -> None:
        self._shut_down()
        key = self.chance.choice(list(self.disks))
        shutil.copy(self.lab.file(self.ref, key), self.lab.folder.parent / key)
        self.copies[key] = self.disks[key]

    def _put_back(self) -> None:
        if self.copies:
            self._shut_down()
            key = self.chance.choice(list(self.copies))
            shutil.copy(self.lab.folder.parent / key, self.lab.file(self.ref, key))
            self.disks[key] = self.copies[key]
            self.counts["disks put back"] += 1

    def _back_up(self, job: _Job) -> dict[str, str]:
        with self.host.open_vm(self.ref, Chain(job.name, job.since)) as opened:
            for disk, reader in zip(opened.description.disks, opened.readers, strict=True):
                found = _whole(reader)
                assert found == self.disks[disk.key], f"{disk.key} is not read as it is"
                changed = opened.tracked[disk.key].changed
                if changed is None:
                    self.counts["disks read whole"] += 1
                else:
                    self.counts["disks by their lists"] += 1
                    assert _patched(job.kept[disk.key], changed, found) == found, (
                        f"a list of {disk.key} lacks a change"
                    )
            tokens = {key: each.token for key, each in opened.tracked.items() if each.token is not None}
        assert not self.lab.leftovers(), "a backup leaves something"
        return tokens


def _is_free(image: Path) -> bool:
    """Whether nobody has it open to write."""
    return subprocess.run(["qemu-img", "info", image], capture_output=True, check=False).returncode == 0


def _whole(reader: DiskReader) -> bytes:
    content = bytearray(reader.size)
    reader.read_into(0, memoryview(content))
    return bytes(content)


def _patched(before: bytes, changed: list[Extent], now: bytes) -> bytes:
    """before: with the changed parts as they are now."""
    patched = bytearray(before)
    for extent in changed:
        patched[extent.offset : extent.end] = now[extent.offset : extent.end]
    return bytes(patched)


def case(folder: Path, seed: int) -> Counter[str]:
    made = _Case(folder, seed)
    try:
        made.run()
    finally:
        made.lab.close()
    return made.counts


def _judge(counts: Counter[str]) -> str | None:
    if counts["disks by their lists"] < counts["disks read whole"] / 4:
        return "hardly any disk is read by its list"
    return None


TRIAL = Trial(
    "qemu_bitmaps",
    "R10",
    "The last kept backup with the listed changes put in is the disk of now, or the disk is read whole.",
    case,
    short=2,
    long=60,
    judge=_judge,
)
