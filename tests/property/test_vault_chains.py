"""Long lives of one disk, changed and backed up in every way: each of its points stays what it was.

A thousand of them: ``python -m trials --long chains``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lives import live


def test_every_point_of_a_long_chain_restores(tmp_path: Path) -> None:
    live(tmp_path, seed=1, rounds=30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_every_point_of_many_long_chains_restores(tmp_path: Path, seed: int) -> None:
    live(tmp_path, seed, rounds=100)
