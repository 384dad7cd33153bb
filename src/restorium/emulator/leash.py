"""Becomes another program that dies with its parent and writes no file larger than it may.

    python -I -S leash.py PARENT MOST_BYTES PROGRAM ARGUMENT...

PARENT: process id of who started this. It is run by its path, so that it needs nothing of the package.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, most_bytes: str, *command: str) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit(1)  # it died before this was said
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(command[0], command)  # noqa: S606  that is what this is for


if __name__ == "__main__":
    main(*sys.argv[1:])
