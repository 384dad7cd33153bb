"""A VM of QEMU whose first disk boots, a restore point of it, and what is to be seen of a VM that runs from it."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from restorium.flows import hosts, jobs, repositories
from restorium.hosts.qemu.qmp import NotRunning, Qmp
from restorium.vocabulary.sessions import SessionResult
from tests.support.boots import MARKER, SECTOR, boot_sector
from tests.support.flows import KEY, MIB, Site
from tests.support.labs import open_lab
from tests.support.waiting import wait_until

SIZE, DATA = 32 * MIB, 24 * MIB


class InstantEstate:
    """``before``: what the disks held at the restore point. Instant restores make a VM ``now``."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.lab = open_lab("qemu", folder)
        self.site = site
        self.machines = Path(self.lab.address)
        noise = random.Random(5).randbytes(DATA)
        first = boot_sector() + noise[SECTOR:] + bytes(SIZE - DATA)
        self.before = {"disk0": first, "disk1": bytes(MIB) + noise[: 2 * MIB]}
        ref = self.lab.add_vm("web", self.before)
        host_id = hosts.add(site.engine, "qemu", "machines", self.lab.address)
        self.repository = site.folder / "vault"
        repository_id = repositories.add(site.engine, "main", self.repository.as_uri(), KEY)
        self.job_id = jobs.add(site.engine, "nightly", repository_id, [(host_id, ref)])
        site.engine.start()
        self.point = self.back_up()
        self.files = self.present()

    def back_up(self) -> UUID:
        session = self.site.back_up(self.job_id)
        assert session.result is SessionResult.SUCCESS, [
            task.reason for task in self.site.tasks(session.id).values()
        ]
        found: UUID = self.site.points()[-1].id
        return found

    def start(self) -> UUID:
        return self.site.start_restore(self.point, keep_original=True, new_name="now", instant=True)

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
        """Whether the guest has said its word."""
        console = next(self.machines.glob(".restorium-*.console.log"), self.machines / "now.console.log")
        return console.exists() and MARKER in console.read_text(errors="replace")

    def present(self) -> set[str]:
        return {path.name for path in self.machines.iterdir()}

    def power_off(self) -> None:
        with suppress(NotRunning), self.qmp() as qmp:
            qmp.execute("quit")
            qmp.wait_closed(20)

    def kill(self) -> None:
        """QEMU, as a loss of power would."""
        for found in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(FileNotFoundError, ProcessLookupError):
                program, *arguments = found.read_bytes().split(b"\0")
                ours = f"{self.machines}/.restorium-".encode()
                if program.endswith(b"qemu-system-x86_64") and any(ours in each for each in arguments):
                    os.kill(int(found.parent.name), signal.SIGKILL)
        wait_until(lambda: not self.runs())

    def expected(self) -> dict[str, bytes]:
        """What the disks hold once the guest, which copies its first sector to the second, has run."""
        disk = self.before["disk0"]
        return {**self.before, "disk0": disk[:SECTOR] + disk[:SECTOR] + disk[2 * SECTOR :]}

    def ends_rightly(self, session_id: UUID) -> None:
        """With a VM of its own that has run all the time; turns it off."""
        session = self.site.restore_ended(session_id)
        told = self.site.events(session_id)
        assert (session.result, session.progress, session.restored_ref) == (
            SessionResult.SUCCESS,
            100,
            "now",
        ), (
            session.reason,
            told,
        )
        assert all(disk.copied_bytes == disk.planned_bytes for disk in self.site.disks(session_id))
        wait_until(self.booted, timeout=60)
        assert self.runs()
        assert not self.lab.leftovers()
        assert self.present() - self.files == {
            *("now.vm.toml", "now-disk0.qcow2", "now-disk1.qcow2", "now.qmp", "now.console.log")
        }
        self.power_off()
        assert self.lab.contents("now") == self.expected()
        assert not list((self.site.settings.data / "nbd").glob("*"))

    def nothing_left(self) -> None:
        assert not self.runs()
        assert self.present() == self.files
        assert not list((self.site.settings.data / "nbd").glob("*"))

    def close(self) -> None:
        self.kill()
        self.lab.close()
