"""Becomes another program that is sent a signal when its parent dies and writes no file larger than it may.

    python -I -S leash.py PARENT SIGNAL MOST_BYTES PROGRAM ARGUMENT...

PARENT: process id of who started this. MOST_BYTES: ``-`` for no limit. It is run by its path, so that it needs
nothing of the package.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, signal: str, most_bytes: str, *command: str) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit(1)  # it died before this was said
    if most_bytes != "-":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(command[0], command)  # noqa: S606  that is what this is for


if __name__ == "__main__":
    main(*sys.argv[1:])
