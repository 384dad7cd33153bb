"""What a trial is, and how its cases are run, counted and told."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """A question put in many cases.

    rows: of the list of trials. bar: what must hold. case: runs one in an empty folder, from its seed; gives what it
    counted, and raises if something does not hold. short, long: how many cases each form has. judge: says what is wrong
    with the sums of all cases, for what only many can show. lasting: a case of so many minutes.
    """

    name: str
    rows: str
    bar: str
    case: Callable[[Path, int], Counter[str]]
    short: int
    long: int
    judge: Callable[[Counter[str]], str | None] = lambda counts: None
    lasting: Callable[[Path, int, float], Counter[str]] | None = None

    def of_minutes(self, minutes: float) -> Trial:
        """The same trial with cases of so many minutes, if it has cases that can last as long as one likes."""
        lasting = self.lasting
        if lasting is None:
            return self
        return replace(self, case=lambda folder, seed: lasting(folder, seed, minutes))


@dataclass(slots=True)
class Outcome:
    """What a trial's run came to. ``failures``: by seed; -1 for the sums."""

    cases: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)


def run(trial: Trial, *, seed: int, cases: int, work: Path | None, tell: Tell) -> Outcome:
    """All cases from ``seed`` on. A failure does not end the run; ``work`` is where the folders are made."""
    outcome = Outcome()
    started = told = time.monotonic()
    for number in range(seed, seed + cases):
        with tempfile.TemporaryDirectory(prefix=f"restorium-{trial.name}-", dir=work) as folder:
            try:
                outcome.counts += trial.case(Path(folder), number)
            except Exception as error:  # noqa: BLE001 - whatever it is, the trial failed
                outcome.failures[number] = f"{type(error).__name__}: {error}"
                tell(f"{trial.name}: seed {number} FAILED: {outcome.failures[number]}")
                tell(f"  again: python -m trials {trial.name} --seed {number} --cases 1")
        outcome.cases += 1
        if time.monotonic() - told > 10:
            told = time.monotonic()
            tell(f"{trial.name}: {outcome.cases} of {cases}, {told - started:.0f} s, {sums(outcome.counts)}")
    wrong = trial.judge(outcome.counts)
    if wrong is not None:
        outcome.failures[-1] = wrong
        tell(f"{trial.name}: FAILED: {wrong}")
    outcome.seconds = time.monotonic() - started
    return outcome


def sums(counts: Counter[str]) -> str:
    """The counts in words."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
