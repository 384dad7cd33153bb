"""The short form of each reliability trial (``python -m trials``)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from trials.common import Trial, run
from trials.every import TRIALS


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_what_the_trial_is_about_holds(tmp_path: Path, name: str) -> None:
    trial = TRIALS[name]
    outcome = run(trial, seed=1, cases=trial.short, work=tmp_path, tell=print)
    assert outcome.failures == {}
    assert outcome.cases == trial.short
    assert outcome.counts.total() >= trial.short


def test_a_case_that_fails_is_told_with_its_seed_and_the_others_run_all_the_same(tmp_path: Path) -> None:
    def case(folder: Path, seed: int) -> Counter[str]:
        if seed == 6:
            raise ValueError("six")
        return Counter({"numbers": 1})

    told: list[str] = []
    trial = Trial(
        "odd", "R0", "No six.", case, short=1, long=9, judge=lambda counts: f"only {counts.total()}"
    )
    outcome = run(trial, seed=5, cases=3, work=tmp_path, tell=told.append)
    assert (outcome.cases, outcome.counts["numbers"]) == (3, 2)
    assert outcome.failures == {6: "ValueError: six", -1: "only 2"}
    assert any("python -m trials odd --seed 6 --cases 1" in line for line in told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_tells_what_it_counted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trials", "chains", "--cases", "1", "--out", tmp_path / "out.json"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "chains: held; 1 cases" in done.stdout
    assert '"failures": {}' in (tmp_path / "out.json").read_text()
