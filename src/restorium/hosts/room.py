"""The room that overlays grow into. A guest whose overwritten data finds none gets an error from its disk, so its
snapshot is given up before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from restorium.vocabulary.errors import HostError

RESERVE = 256 << 20
"""Bytes that are left free."""
_LOOK_SECONDS = 0.5

_log = structlog.get_logger(__name__)


@contextmanager
def guarded(folder: Path, name: str, give_up: Callable[[], None]) -> Iterator[None]:
    """Call ``give_up`` when room runs out, and say so in place of the error that the block ends by then.

    Raises HostError; at once if there is no room now.
    """
    if _is_short(folder):
        raise _no_room(folder, name)
    ended, gave_up = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            if _is_short(folder):
                gave_up.set()
                try:
                    give_up()
                except HostError as error:
                    _log.warning("a VM's snapshot cannot be given up", vm=name, reason=error.message)
                return

    watch = threading.Thread(target=look, name=f"room for {name}", daemon=True)
    watch.start()
    try:
        yield
    except Exception as error:
        if gave_up.is_set():
            raise _no_room(folder, name) from error
        raise
    finally:
        ended.set()
        watch.join()


def _is_short(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < RESERVE


def _no_room(folder: Path, name: str) -> HostError:
    return HostError(
        f"the snapshot of {name} was given up: less than {RESERVE >> 20} MiB are free in {folder}",
        hint="Free space there: what a running VM overwrites during its backup is kept there.",
    )
