"""python -m trials [--long] [NAME...]: run the trials, tell how far they are, and what they came to."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import structlog

from bench.common import machine, write
from trials.common import run, sums
from trials.every import TRIALS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trials", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--long", action="store_true", help="as many cases as docs/reliability.md tells of")
    length.add_argument("--short", action="store_true", help="a few cases of each (the default)")
    parser.add_argument("--cases", type=int, help="so many cases of each instead")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the others follow")
    parser.add_argument("--minutes", type=float, help="so long each case of a trial that can last")
    parser.add_argument("--out", type=Path, help="a file for the result as JSON")
    parser.add_argument("--work", type=Path, help="the folder to work in")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRIALS)}; else all")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(TRIALS))
    if unknown:
        parser.error(f"no trial is called {', '.join(unknown)}; there are {', '.join(TRIALS)}")
    # What the trials break on purpose is not worth a warning each.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    result: dict[str, Any] = {"machine": machine(), "seed": arguments.seed, "trials": {}}
    failed = False
    for name in arguments.names or TRIALS:
        trial = TRIALS[name]
        if arguments.minutes is not None:
            trial = trial.of_minutes(arguments.minutes)
        cases = arguments.cases or (trial.long if arguments.long else trial.short)
        print(f"{name} ({trial.rows}): {cases} cases from seed {arguments.seed}. {trial.bar}", flush=True)
        outcome = run(trial, seed=arguments.seed, cases=cases, work=arguments.work, tell=_tell)
        failed |= bool(outcome.failures)
        verdict = f"{len(outcome.failures)} FAILED" if outcome.failures else "held"
        _tell(f"{name}: {verdict}; {cases} cases, {outcome.seconds:.0f} s, {sums(outcome.counts)}")
        result["trials"][name] = {
            "cases": outcome.cases,
            "seconds": round(outcome.seconds),
            "counts": dict(outcome.counts),
            "failures": outcome.failures,
        }
        if arguments.out is not None:
            write(arguments.out, result)
    return 1 if failed else 0


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
