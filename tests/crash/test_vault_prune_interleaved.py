"""Prunes beside backups, restores, verifications and other prunes, operation by operation, in seeded orders (R4, R5).

Whatever the order: every point that was committed, or can be seen, restores byte for byte, then and after more prunes.
Many more orders: ``python -m trials --long interleavings``.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from restorium.vault import packs, packwriter
from tests.support.prune_orders import CASTS, play, removed

ORDERS = 25
"""Of each cast."""


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 160)
    monkeypatch.setattr(packwriter, "CAPACITY", 64 * 1024)


@pytest.mark.slow
@pytest.mark.parametrize("lag", [timedelta(), timedelta(hours=5)], ids=["prompt", "late"])
@pytest.mark.parametrize("cast", CASTS)
def test_no_order_of_operations_loses_a_point(tmp_path: Path, cast: str, lag: timedelta) -> None:
    gone = sum(removed(play(tmp_path / str(seed), seed, CASTS[cast], lag)) for seed in range(ORDERS))
    assert gone > ORDERS  # packs were removed in these orders, not merely marked


@pytest.mark.slow
@pytest.mark.parametrize("first", ["backup", "prune", "restore", "delete"])
def test_whoever_is_paused_anywhere_while_two_prunes_run_loses_nothing(tmp_path: Path, first: str) -> None:
    """Trial R4 exactly, for each operation that may be the last one before the pause."""
    for seed in range(2):
        pause, steps = 1, 2
        while pause < min(steps, 60):
            world = play(tmp_path / f"{seed}-{pause}", seed, [first, "prunes"], timedelta(), pause)
            pause, steps = pause + 1, world.steps


@pytest.mark.slow
def test_an_order_of_each_cast_loses_no_point(tmp_path: Path) -> None:
    for number, cast in enumerate(CASTS.values()):
        play(tmp_path / str(number), number, cast, timedelta())
