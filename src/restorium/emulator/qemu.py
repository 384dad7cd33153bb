"""QEMU as a child that is waited for: how it is started, watched and ended."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from restorium.programs import find, leashed
from restorium.vocabulary.errors import Cancelled, HostError, InvalidInput, Unsupported

MOST_DISKS = 4
"""What the IDE controllers of the machine take."""
_PROGRAM = "qemu-system-x86_64"
_LOOK_SECONDS = 0.2
_WINDOW_BYTES = 64 * 1024
"""A marker is looked for in so many of the latest bytes."""
_TOLD_BYTES = 600
_MOST_WRITTEN_BYTES = 8 << 30
"""Of what the guest writes: more ends QEMU."""
_READ_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What the guest is given: seconds of time, MiB of memory, processors."""

    seconds: float
    memory_mib: int
    cpus: int


@dataclass(frozen=True, slots=True)
class Booted:
    """What came of it. ``seconds``: until the marker, or until the end without it; ``console``: its last words."""

    seen: bool
    ended: bool
    seconds: float
    console: str


def find_qemu() -> Path | None:
    """The program; None if it is not installed."""
    return find(_PROGRAM)


def boot(
    images: Sequence[tuple[Path, str]],
    marker: re.Pattern[bytes],
    machine: Machine,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Booted:
    """Start a machine from disks, each a file and its format, until ``marker`` is on the serial console.

    Raises Unsupported if QEMU is not installed or takes no such disks, HostError if it does not start, Cancelled.
    """
    program = find_qemu()
    if program is None:
        raise Unsupported(f"{_PROGRAM} is not installed here", hint="Install QEMU for x86 on the server.")
    if not 0 < len(images) <= MOST_DISKS:
        raise Unsupported(
            f"a machine with {len(images)} disks cannot be started, but one with up to {MOST_DISKS}"
        )
    command = [str(program), *_arguments(images, machine)]
    started = time.monotonic()
    with _running(command, images[0][0].parent) as (qemu, console):
        seen, latest = False, b""
        for part in _output(console, started + machine.seconds, cancelled):
            latest = (latest + part)[-_WINDOW_BYTES:]
            if marker.search(latest):
                seen = True
                break
        seconds, ended = time.monotonic() - started, not seen and time.monotonic() - started < machine.seconds
        if ended and not latest and (qemu.wait() or 0) > 0:
            assert qemu.stderr is not None
            told = qemu.stderr.read(_READ_BYTES).decode(errors="replace").strip()
            raise HostError(f"QEMU did not start: {told[-_TOLD_BYTES:]}", hint="Check QEMU's installation.")
    return Booted(seen, ended, seconds, _told(latest))


def _arguments(images: Sequence[tuple[Path, str]], machine: Machine) -> Iterator[str]:
    yield from ("-nodefaults", "-no-user-config", "-no-reboot", "-machine", "pc", "-accel", "tcg,tb-size=128")
    yield from ("-m", str(machine.memory_mib), "-smp", str(machine.cpus))
    yield from ("-display", "none", "-vga", "std", "-nic", "none", "-monitor", "none", "-parallel", "none")
    yield from ("-chardev", "stdio,id=console,signal=off,mux=off", "-serial", "chardev:console")
    yield from ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
    for number, (path, image_format) in enumerate(images):
        file = str(path.resolve()).replace(",", ",,")
        yield "-drive"
        yield f"if=ide,index={number},snapshot=on,format={image_format},file.driver=file,file.filename={file}"


@contextmanager
def _running(command: Sequence[str], scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """scratch: the folder of the file without a name."""
    qemu = subprocess.Popen(  # noqa: S603  no shell; what is run is found on the path of the server
        leashed(command, most_bytes=_MOST_WRITTEN_BYTES),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env={"PATH": os.environ.get("PATH", ""), "TMPDIR": str(scratch)},
    )
    with qemu:
        try:
            assert qemu.stdout is not None
            yield qemu, qemu.stdout
        finally:
            qemu.kill()


def _output(console: IO[bytes], deadline: float, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    """What comes, until the deadline or its end. Raises Cancelled."""
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if cancelled():
                raise Cancelled("the machine was stopped by request")
            if selector.select(min(left, _LOOK_SECONDS)):
                part = os.read(console.fileno(), _READ_BYTES)
                if not part:
                    return
                yield part


def _told(console: bytes) -> str:
    """The end of what was written, as text without control characters."""
    text = console[-_TOLD_BYTES:].decode(errors="replace")
    return "".join(each if each.isprintable() else " " for each in text).strip()


def pattern(marker: str) -> re.Pattern[bytes]:
    """A regular expression for ``boot``, which compares bytes. Raises InvalidInput."""
    try:
        found = re.compile(marker.encode())
    except (re.error, UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise InvalidInput(f"{marker!r} is no regular expression: {error}") from None
    if found.search(b""):
        raise InvalidInput(
            f"{marker!r} is found in an empty console too", hint="Name what only a booted VM says."
        )
    return found
