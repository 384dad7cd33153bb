"""A process that works on a site's sessions and kills itself at a given place, as a power cut would.

    python -m tests.support.flow_child FOLDER DATABASE_URL PLACE NUMBER WINDOW

PLACE: module:Class.method, whose NUMBER-th call is the last thing that the process does; a leading ``-`` kills
before the call instead of after it. WINDOW: bytes between two checkpoints of a restore.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from restorium.flows import restoring
from tests.support.flows import Site


def main(folder: str, url: str, place: str, number: str, window: str) -> None:
    restoring.CHECKPOINT_BYTES = int(window)
    _kill_at(place.removeprefix("-"), int(number), before=place.startswith("-"))
    Site(Path(folder), url).engine.start()
    threading.Event().wait(60)
    raise SystemExit("lived longer than it should")


def _kill_at(place: str, number: int, *, before: bool) -> None:
    module, _, attribute = place.partition(":")
    class_name, _, method = attribute.partition(".")
    owner = getattr(importlib.import_module(module), class_name)
    real, calls = getattr(owner, method), itertools.count(1)

    def deadly(*arguments: Any, **options: Any) -> Any:
        own = next(calls)  # other threads call too
        if before and own == number:
            os.kill(os.getpid(), signal.SIGKILL)
        value = real(*arguments, **options)
        if own == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(owner, method, deadly)


if __name__ == "__main__":
    main(*sys.argv[1:])
