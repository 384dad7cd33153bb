"""Whether guests may use KVM. Its device may be there and hang whatever is started, so a guest is started to see."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path

from restorium.programs import find, leashed

_DEVICE = Path("/dev/kvm")
_CPUS = Path("/proc/cpuinfo")
_PROBE_SECONDS = 10.0
_EXIT_PORT = 0x501
_SAID = 0x10
_ENDED_BY_GUEST = _SAID << 1 | 1


def accelerator() -> list[str]:
    """QEMU's arguments."""
    return ["-accel", "kvm", "-cpu", "host"] if kvm_works() else ["-accel", "tcg"]


@functools.cache
def kvm_works() -> bool:
    """The processor has what KVM needs, and a guest gets through its BIOS and its first sector."""
    flags = _CPUS.read_text(errors="replace") if _CPUS.exists() else ""
    program = find("qemu-system-x86_64")
    if (
        program is None
        or not os.access(_DEVICE, os.R_OK | os.W_OK)
        or not {"vmx", "svm"} & set(flags.split())
    ):
        return False
    with tempfile.NamedTemporaryFile() as sector:
        # mov dx, port; mov al, said; out dx, al; halt
        code = b"\xba" + _EXIT_PORT.to_bytes(2, "little") + b"\xb0" + bytes([_SAID]) + b"\xee\xf4"
        sector.write(code.ljust(510, b"\0") + b"\x55\xaa")
        sector.flush()
        command = [
            str(program),
            *("-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm", "-cpu", "host"),
            *("-m", "32", "-display", "none", "-vga", "std"),
            *("-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x}"),
            *("-drive", f"if=ide,format=raw,readonly=off,snapshot=on,file={sector.name}"),
        ]
        try:
            ended = subprocess.run(  # noqa: S603  our own arguments
                leashed(command), capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
    return ended.returncode == _ENDED_BY_GUEST
