"""What the C library keeps for each thread. In processes of their own, for it cannot be taken back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_CHILD = """
import ctypes, re, sys, threading
from pathlib import Path
from restorium.cli.memory import share_arenas

if sys.argv[1] == "shared":
    share_arenas(2)
together = threading.Barrier(17)

def allocate():
    together.wait()
    ctypes.CDLL(None).malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(16)]
for each in threads:
    each.start()
together.wait()
together.wait()
print(re.search(r"VmSize:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _reserved_kib(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, how], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library has arenas")
def test_threads_do_not_have_an_arena_each() -> None:
    assert _reserved_kib("shared") < _reserved_kib("usual") - 4 * 64 * 1024
