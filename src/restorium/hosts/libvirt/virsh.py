"""libvirt's own client as a program: docs/decisions says why."""

from __future__ import annotations

import os
import re
import subprocess
from uuid import UUID

from restorium.hosts.libvirt.workplace import temporary_file
from restorium.vocabulary.errors import HostError, InvalidInput, Unsupported, VmNotFound

_TIMEOUT_SECONDS = 120.0
_OF_THIS_MACHINE = re.compile(r"qemu(\+unix)?:///(system|session)(\?[!-~]*)?")
_NO_VM = re.compile(r"failed to get domain|Domain not found")
_BUSY = "cannot acquire state change lock"


class Silent(HostError):
    """libvirt or the VM's QEMU does not answer, as one that waits for a disk. Stays inside the package."""


class Virsh:
    """Commands to one libvirt, each a process of its own, so threads do not meet.

    seconds: how long each may take. Raises InvalidInput for an address that is no libvirt of this machine.
    """

    def __init__(self, address: str, seconds: float = _TIMEOUT_SECONDS) -> None:
        if not _OF_THIS_MACHINE.fullmatch(address):
            raise InvalidInput(
                f"{address!r} is no libvirt of this machine",
                hint="Addresses look like qemu:///system or qemu+unix:///system?socket=/run/libvirt/libvirt-sock.",
            )
        self.address = address
        self._seconds = seconds

    def run(self, command: str, *arguments: str) -> str:
        """What it printed. Raises VmNotFound, HostError with libvirt's reason, Unsupported without the program."""
        try:
            done = subprocess.run(  # noqa: S603  no shell; a program of libvirt's
                ["virsh", "--quiet", "--connect", self.address, command, *arguments],  # noqa: S607
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._seconds,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except FileNotFoundError as error:
            raise Unsupported(
                "virsh is not installed here", hint="Install it (on Debian: apt install libvirt-clients)."
            ) from error
        except ValueError as error:
            raise InvalidInput(f"libvirt cannot be asked about {arguments!r}") from error
        except subprocess.TimeoutExpired as error:
            raise Silent(
                f"libvirt at {self.address} did not answer {command} for {self._seconds:g} s",
                hint="Check libvirtd; it may wait for storage or for a lock.",
            ) from error
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        raise self._refused(command, done.stderr.decode(errors="replace"))

    def works(self, command: str, *arguments: str) -> bool:
        """Whether libvirt did it; false too if it cannot be reached."""
        try:
            self.run(command, *arguments)
        except HostError:
            return False
        return True

    def lines(self, command: str, *arguments: str) -> list[str]:
        return [line.strip() for line in self.run(command, *arguments).splitlines() if line.strip()]

    def with_xml(
        self, command: str, domain: UUID | None, *documents: str, options: tuple[str, ...] = ()
    ) -> None:
        """A command that reads documents from files."""
        with temporary_file(*documents) as paths:
            names = () if domain is None else (str(domain),)
            self.run(command, *names, *map(str, paths), *options)

    def names(self) -> dict[UUID, str]:
        """Every VM's name by its UUID."""
        pairs = (line.split(maxsplit=1) for line in self.lines("list", "--all", "--uuid", "--name"))
        return {UUID(pair[0]): pair[1] for pair in pairs if len(pair) == 2}

    def _refused(self, command: str, said: str) -> HostError:
        lines = [line.removeprefix("error:").strip() for line in said.splitlines() if line.strip()]
        reason = lines[-1] if lines else "no reason was given"
        if any("failed to connect to the hypervisor" in line for line in lines):
            return HostError(
                f"libvirt at {self.address} cannot be reached: {reason}",
                hint="Check that libvirtd runs and that its socket may be used by the account Restorium runs as.",
            )
        if any(_NO_VM.search(line) for line in lines):
            return VmNotFound(f"libvirt at {self.address} has no such VM: {reason}")
        kind = Silent if _BUSY in reason else HostError
        return kind(f"libvirt at {self.address} refused {command}: {reason}")
