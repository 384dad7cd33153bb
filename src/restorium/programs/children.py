"""Command lines of children on a leash."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")


def find(program: str) -> Path | None:
    """A program on the path of this process; None if it is not installed."""
    found = shutil.which(program)
    return None if found is None else Path(found)


def leashed(
    command: Sequence[str], *, most_bytes: int | None = None, ends_by: signal.Signals = signal.SIGKILL
) -> list[str]:
    """What to start for ``command`` to be sent ``ends_by`` when the thread that starts it ends, however that comes.

    most_bytes: no file that it writes becomes larger.
    """
    limit = "-" if most_bytes is None else str(most_bytes)
    return [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(int(ends_by)), limit, *command]
