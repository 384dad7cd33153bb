"""R2: processes that are killed (SIGKILL) at each step of a backup, a prune and a change of keys on the storage.

A case is one of the courses, with the last write arrived in half or whole. The order of a backup's writes is that of
its threads; the steps are enumerated whatever their order.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path
from typing import NoReturn

from tests.support.dying import COURSES, Course, dying_vault, small_packs
from trials.common import Trial

# Processes made from one that has imported everything and has no threads yet: thousands are quick to start.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.support.dying"])


def case(folder: Path, seed: int) -> Counter[str]:
    """Each course in turn, in both halves."""
    kind = COURSES[seed % len(COURSES)]
    half = seed // len(COURSES) % 2 == 1
    steps = _killed(kind)(seed).at_each_step(folder, half=half)
    return Counter({"kills": steps, f"kills of {kind.__name__.removesuffix('Course').lower()}": steps})


def _killed(kind: type[Course]) -> type[Course]:
    """The same course, which dies as a process of its own."""

    class Killed(kind):  # type: ignore[misc, valid-type]
        def die(self, folder: Path, step: int, *, half: bool) -> None:
            number = COURSES.index(kind)
            process = _PROCESSES.Process(target=_work, args=(number, self.seed, folder, step, half))
            process.start()
            process.join(120)
            if process.exitcode is None:
                process.kill()
            # A backup's threads need not take as many steps each time.
            if process.exitcode not in (-signal.SIGKILL, 0):
                raise AssertionError(f"the process ended with {process.exitcode}")
            process.close()

    return Killed


def _work(number: int, seed: int, folder: Path, step: int, half: bool) -> None:
    course = COURSES[number](seed)
    with small_packs(course.pack_chunks):
        vault, _ = dying_vault(folder, step, half=half, die=_die)
        course.work(vault)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


TRIAL = Trial(
    "crash_points",
    "R2",
    "Whatever the step, older points restore, nothing is damaged, what arrived is used, and doing it again works.",
    case,
    short=5,
    long=36,
)
