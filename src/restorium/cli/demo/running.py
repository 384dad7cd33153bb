"""The demo's VMs at work: machines of QEMU that run their BIOS, and whose disks are written as by a guest."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from restorium.cli.demo.machines import CHANGE_BYTES, Machine
from restorium.hosts import open_host
from restorium.hosts.qemu import PROGRAM, NotRunning, Qmp
from restorium.programs import find
from restorium.vocabulary.errors import HostError, Unsupported

_LOOK_SECONDS = 0.02
_QUIT_SECONDS = 10.0


def check_installed() -> None:
    """Raises Unsupported."""
    if find(PROGRAM) is None:
        raise Unsupported(
            f"a demo with running VMs needs {PROGRAM}, which is not installed here",
            hint="Install it (on Debian: apt install qemu-system-x86 qemu-utils), or leave --host out.",
        )


class RunningMachine:
    """A machine of the demo that runs from now on, with one disk."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        open_host("qemu", str(machine.disk.parent)).power_on(machine.name)

    @property
    def qmp(self) -> Path:
        return self._machine.disk.parent / f"{self._machine.name}.qmp"

    def change(self) -> int:
        """Overwrite 64 KiB in every second file through the running machine; gives the bytes written."""
        chosen = self._machine.places[::2]
        with Qmp.connect(self.qmp, self._machine.name) as qmp:
            [device] = qmp.execute("query-block")
            for place in chosen:
                write = f"write -P {secrets.randbelow(255) + 1} {place} {CHANGE_BYTES}"
                command = f'qemu-io -d {device["qdev"]} "{write}"'
                if said := qmp.execute("human-monitor-command", {"command-line": command}):
                    raise HostError(f"QEMU cannot write to the disk of {self._machine.name}: {said.strip()}")
        return len(chosen) * CHANGE_BYTES

    def wait_read(self, ended: Callable[[], bool]) -> bool:
        """Wait until a backup reads the disk; False if ``ended`` says first that there will be none."""
        while not ended():
            with Qmp.connect(self.qmp, self._machine.name) as qmp:
                if qmp.execute("query-block-exports"):
                    return True
            time.sleep(_LOOK_SECONDS)
        return False

    def stop(self) -> None:
        with suppress(NotRunning), Qmp.connect(self.qmp, self._machine.name) as qmp:
            qmp.execute("quit")
            qmp.wait_closed(_QUIT_SECONDS)
