"""One VM of the folder: where its QEMU is asked, whether it runs, how it is held alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restorium.hosts.image_folder.descriptions import SUFFIX, Description
from restorium.hosts.image_folder.folder import explained
from restorium.hosts.qemu.qmp import NotRunning, Qmp
from restorium.vocabulary.errors import HostError

QMP_MEMBER = "qmp"
_QUIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Vm:
    """description: as the file has it."""

    folder: Path
    ref: str
    description: Description

    @property
    def qmp(self) -> Path:
        """The socket that the description names, or the one that Restorium starts the VM with."""
        named = self.description.settings.get(QMP_MEMBER)
        return self.folder / (named if isinstance(named, str) and named else f"{self.ref}.qmp")

    @property
    def console(self) -> Path:
        return self.folder / f"{self.ref}.console.log"

    def connect(self) -> Qmp:
        """Raises NotRunning if the VM is off, HostError."""
        return Qmp.connect(self.qmp, self.description.name)

    def runs(self) -> bool:
        try:
            self.connect().close()
        except NotRunning:
            return False
        return True

    def owner(self) -> int:
        """The account that runs QEMU. Raises HostError."""
        with explained(f"looking at {self.qmp}"):
            return self.qmp.stat().st_uid

    def quit(self) -> None:
        """Take the power from it; nothing happens if it is off."""
        try:
            with self.connect() as qmp:
                qmp.execute("quit")
                qmp.wait_closed(_QUIT_SECONDS)
        except NotRunning:
            return

    def forget(self) -> None:
        """Remove what a QEMU that has ended leaves in the folder."""
        for path in (self.folder / f"{self.ref}.qmp", self.console):
            path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[Hold]:
        """Kept from other backups until the block is left. Raises HostError if there is one."""
        with explained(f"opening the description of {self.description.name}"):
            descriptor = os.open(self.folder / f"{self.ref}{SUFFIX}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield Hold(descriptor, self.description.name)
        finally:
            os.close(descriptor)


class Hold:
    """A lock on a VM's description, which ends with the process at the latest."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name

    def share(self) -> None:
        """With others that only read. Raises HostError."""
        self._lock(fcntl.LOCK_SH)

    def alone(self) -> None:
        """Raises HostError."""
        self._lock(fcntl.LOCK_EX)

    def _lock(self, how: int) -> None:
        try:
            fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(
                f"{self._name} is being read by another backup or restore",
                hint="A VM under QEMU is read by one at a time: give its jobs different times, or retries.",
            ) from None
        except OSError as error:
            raise HostError(f"{self._name} cannot be locked: {error.strerror}") from error
