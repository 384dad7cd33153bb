"""A VM whose first disk boots, a restore point of it, and what is to be seen of a VM that runs from it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from restorium.flows import hosts, jobs, repositories
from restorium.hosts.qemu.qmp import NotRunning, Qmp
from restorium.vocabulary.sessions import SessionResult
from tests.support.boots import MARKER, SECTOR, boot_sector
from tests.support.disks import qemu_img
from tests.support.flows import KEY, MIB, Site
from tests.support.labs import open_lab
from tests.support.waiting import wait_until

SIZE, DATA = 32 * MIB, 24 * MIB


class InstantEstate(ABC):
    """``before``: what the disks held at the restore point. Instant restores make a VM ``now``.

    made: the files that it has in the end. For tests of crashes, target: what makes it; crashes: by a
    name, places where processes are killed, one after the other.
    """

    kind: ClassVar[str]
    target: ClassVar[str]
    crashes: ClassVar[dict[str, list[tuple[str, int]]]]
    made: ClassVar[set[str]]
    machines: Path

    def __init__(self, folder: Path, site: Site, sector: bytes = boot_sector()) -> None:
        self.lab: Any = open_lab(self.kind, folder)
        self.machines = self.lab.folder
        self.site = site
        noise = random.Random(5).randbytes(DATA)
        self.first, self.second = self.lab.keys(2)
        first = sector + noise[SECTOR:] + bytes(SIZE - DATA)
        self.before = {self.first: first, self.second: bytes(MIB) + noise[: 2 * MIB]}
        ref = self.lab.add_vm("web", self.before)
        self.host_id = hosts.add(site.engine, self.kind, "machines", self.lab.address)
        self.repository = site.folder / "vault"
        repository_id = repositories.add(site.engine, "main", self.repository.as_uri(), KEY)
        self.job_id = jobs.add(site.engine, "nightly", repository_id, [(self.host_id, ref)])
        site.engine.start()
        self.point = self.back_up()
        self.files = self.present()

    @property
    @abstractmethod
    def ref(self) -> str:
        """Of the VM that an instant restore has made."""

    @abstractmethod
    def runs(self) -> bool: ...

    @abstractmethod
    def booted(self) -> bool:
        """Whether the guest has done what it does when it boots."""

    @abstractmethod
    def power_off(self) -> None: ...

    @abstractmethod
    def kill(self) -> None:
        """QEMU, as a loss of power would."""

    @abstractmethod
    def second_image(self) -> Path:
        """Of a VM that is being moved."""

    def back_up(self) -> UUID:
        session = self.site.back_up(self.job_id)
        assert session.result is SessionResult.SUCCESS, [
            task.reason for task in self.site.tasks(session.id).values()
        ]
        found: UUID = self.site.points()[-1].id
        return found

    def start(self) -> UUID:
        return self.site.start_restore(self.point, keep_original=True, new_name="now", instant=True)

    def listed(self) -> bool:
        """Whether the inventory has it."""
        return "now" in {vm.name for vm in self.site.engine.host(self.host_id).inventory()}

    def present(self) -> set[str]:
        return {path.name for path in self.machines.iterdir()}

    def expected(self) -> dict[str, bytes]:
        """What the disks hold once the guest, which copies its first sector to the second, has run."""
        disk = self.before[self.first]
        return {**self.before, self.first: disk[:SECTOR] + disk[:SECTOR] + disk[2 * SECTOR :]}

    def ends_rightly(self, session_id: UUID) -> None:
        """With a VM of its own that has run all the time; turns it off."""
        session = self.site.restore_ended(session_id)
        told = self.site.events(session_id)
        assert (session.result, session.progress) == (SessionResult.SUCCESS, 100), (session.reason, told)
        assert session.restored_ref == self.ref
        assert all(disk.copied_bytes == disk.planned_bytes for disk in self.site.disks(session_id))
        wait_until(self.booted, timeout=60)
        assert self.runs()
        assert self.listed()
        assert not self.lab.leftovers()
        assert self.present() - self.files == self.made
        self.power_off()
        assert self.lab.contents(self.ref) == self.expected()
        for image in self.machines.glob("now*.qcow2"):
            assert "backing" not in qemu_img("info", image)
        assert not list((self.site.settings.data / "nbd").glob("*"))

    def nothing_left(self) -> None:
        assert not self.runs()
        assert self.present() == self.files
        assert not list((self.site.settings.data / "nbd").glob("*"))

    def close(self) -> None:
        self.kill()
        self.lab.close()


class QemuEstate(InstantEstate):
    kind = "qemu"
    target = "restorium.hosts.qemu.instant:InstantQemuTarget"
    crashes: ClassVar = {
        "started and moving": [(f"{target}.start", 1), (f"{target}.moved", 2)],
        "moving and moved": [(f"{target}.moved", 1), (f"-{target}.finalise", 1)],
        "in the middle of the end": [("restorium.hosts.image_folder.target:ImageFolderTarget.finalise", 1)],
    }
    made: ClassVar = {"now.vm.toml", "now-disk0.qcow2", "now-disk1.qcow2", "now.qmp", "now.console.log"}
    ref = "now"

    def qmp(self) -> Qmp:
        """Of the VM, under the name that it has now. Raises NotRunning."""
        socket = next(self.machines.glob(".restorium-*.qmp"), self.machines / "now.qmp")
        return Qmp.connect(socket, "now")

    def runs(self) -> bool:
        try:
            with self.qmp() as qmp:
                return bool(qmp.execute("query-status")["running"])
        except NotRunning:
            return False

    def booted(self) -> bool:
        console = next(self.machines.glob(".restorium-*.console.log"), self.machines / "now.console.log")
        return console.exists() and MARKER in console.read_text(errors="replace")

    def power_off(self) -> None:
        with suppress(NotRunning), self.qmp() as qmp:
            qmp.execute("quit")
            qmp.wait_closed(20)

    def kill(self) -> None:
        for found in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(FileNotFoundError, ProcessLookupError):
                program, *arguments = found.read_bytes().split(b"\0")
                ours = f"{self.machines}/.restorium-".encode()
                if program.endswith(b"qemu-system-x86_64") and any(ours in each for each in arguments):
                    os.kill(int(found.parent.name), signal.SIGKILL)
        wait_until(lambda: not self.runs())

    def second_image(self) -> Path:
        [image] = self.machines.glob(".restorium-*.1.qcow2")
        return image


class LibvirtEstate(InstantEstate):
    kind = "libvirt"
    target = "restorium.hosts.libvirt.instant:InstantLibvirtTarget"
    crashes: ClassVar = {
        "started and moving": [(f"{target}.start", 1), (f"{target}.moved", 2)],
        "defined, begun and whole": [
            (f"{target}._take_place", 1),
            (f"-{target}._note", 2),
            (f"{target}._note", 2),
        ],
    }
    made: ClassVar = {"now-vda.qcow2", "now-vdb.qcow2"}

    @property
    def ref(self) -> str:
        return str(self.lab.virsh("domuuid", "now").strip())

    def runs(self) -> bool:
        return self._is_there() and bool(self.lab.runs("now"))

    def booted(self) -> bool:
        """It says its word to nobody, but has written to its disk."""
        if not self.runs():
            return False
        try:
            return " wr_req 0" not in self.lab.virsh("domblkstat", "now", "vda")
        except (AssertionError, subprocess.TimeoutExpired):
            return False

    def power_off(self) -> None:
        self.lab.virsh("destroy", "now")

    def kill(self) -> None:
        if self.runs():
            self.lab.kill(self.ref)

    def second_image(self) -> Path:
        return self.machines / "now-vdb.qcow2"

    def ends_rightly(self, session_id: UUID) -> None:
        super().ends_rightly(session_id)
        defined = self.lab.virsh("dumpxml", "now", "--inactive")
        assert str(session_id) in defined
        assert "nbd" not in defined

    def nothing_left(self) -> None:
        super().nothing_left()
        assert not self._is_there()

    def _is_there(self) -> bool:
        return "now" in self.lab.virsh("list", "--all", "--name").split()


ESTATES = {estate.kind: estate for estate in (QemuEstate, LibvirtEstate)}
