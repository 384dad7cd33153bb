"""R7, R9: a storage that is full, over quota, read-only or broken from each step on, or that fails now and then.

The courses are those of the crash points. Once the storage is well again, no repair is needed.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from obstore.exceptions import GenericError
from obstore.store import LocalStore

from restorium.vault import Storage, Vault
from restorium.vocabulary.errors import RepositoryFull, StorageUnavailable
from tests.support.dying import COURSES, Course
from tests.support.vaults import KEY
from trials.common import Trial

_WRITES = {"put", "rename"}
_STEPS = {"put", "rename", "delete"}
_CALLS = {*_STEPS, "get", "get_range", "head"}
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_IN_A_ROW = 3
"""So many failures in a row the storage is asked to bear."""


class _Failing:
    """A folder on which ``fails`` says of each call, by name, with which error it ends, if any."""

    def __init__(self, folder: Path, fails: Callable[[str], int | None]) -> None:
        self.store = LocalStore(folder)
        self._fails = fails

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self.store, name)
        if name not in _CALLS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            number = self._fails(name)
            if number is not None:
                raise GenericError(f"Unable to {name} (os error {number})")
            return real(*args, **kwargs)

        return call


def _vault(folder: Path, fails: Callable[[str], int | None]) -> Vault:
    place = folder / "vault"
    storage = Storage(_Failing(place, fails), "failing", folder=place, sleep=lambda seconds: None)  # type: ignore[arg-type]
    return Vault.open(storage, KEY, cache=folder / "cache")


def case(folder: Path, seed: int) -> Counter[str]:
    """One course with one error: from each step on for good, or now and then on every call."""
    kind = COURSES[seed % len(COURSES)]
    errors = (*_LASTING, None)
    number = errors[seed % len(errors)]
    if number is None:
        return _shaky(kind)(seed).once(folder)
    steps = _failing(kind, number)(seed).at_each_step(folder, half=False)
    return Counter({"failures": steps, f"failures by {errno.errorcode[number]}": steps})


def _failing(kind: type[Course], number: int) -> type[Course]:
    class Failing(kind):  # type: ignore[misc, valid-type]
        def die(self, folder: Path, step: int, *, half: bool) -> None:
            done = 0

            def fails(name: str) -> int | None:
                nonlocal done
                if name in _STEPS:
                    done += 1
                # What is full can be written no more, but read, and deleted of.
                refused = name in (_WRITES if number in _FULL else _STEPS)
                return number if done >= step and refused else None

            expected = RepositoryFull if number in _FULL else StorageUnavailable
            with _vault(folder, fails) as vault:
                try:
                    self.work(vault)
                except expected:
                    return

    return Failing


def _shaky(kind: type[Course]) -> Any:
    class Shaky(kind):  # type: ignore[misc, valid-type]
        def once(self, folder: Path) -> Counter[str]:
            """The course, and a verification that would quarantine, with every fifth call failing some times."""
            self.prepare(folder)
            chance = random.Random(self.seed)
            failed = in_a_row = 0

            def fails(name: str) -> int | None:
                nonlocal failed, in_a_row
                if in_a_row < _MOST_IN_A_ROW and chance.random() < 0.2:
                    in_a_row += 1
                    failed += 1
                    return errno.EIO
                in_a_row = 0
                return None

            with _vault(folder, fails) as vault:
                report = vault.verify(quarantine=True, threads=1)
                assert report.findings == ()
                assert report.quarantined == 0
                self.work(vault)
            self.check(folder)
            return Counter({"failures": failed, "failures now and then": failed})

    return Shaky


TRIAL = Trial(
    "storage_faults",
    "R7, R9",
    "The error is told as what it is, nothing is quarantined or lost, and the next run needs no repair.",
    case,
    short=5,
    long=30,
)
