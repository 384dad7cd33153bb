"""R4, R5: prunes beside backups, restores, verifications, deletions and other prunes, in orders that the seed decides.

A scheduler lets one of them do one operation on the storage at a time. A third of the cases pauses one of them at one
operation while two prunes run, as R4 does; half of the others have a storage whose lists lag behind.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

from restorium.vault import packs, packwriter
from tests.support.prune_orders import CASTS, play, removed
from trials.common import Trial

_PAUSED = ("backup", "prune", "restore", "delete")
_MOST_STEPS = 60


def case(folder: Path, seed: int) -> Counter[str]:
    """One order, in an empty folder."""
    usual = packs.PACK_BYTES, packwriter.CAPACITY
    packs.PACK_BYTES, packwriter.CAPACITY = 160, 64 * 1024
    try:
        number, kind = divmod(seed, 3)
        if kind == 0:
            first, pause = _PAUSED[number % 4], 1 + number // 4 % _MOST_STEPS
            world = play(folder, seed, [first, "prunes"], timedelta(), pause)
            names = ["orders with one paused"]
        else:
            lag = timedelta(hours=5) if number % 2 else timedelta()
            world = play(folder, seed, list(CASTS.values())[number // 2 % len(CASTS)], lag)
            names = ["orders with late lists"] if lag else []
    finally:
        packs.PACK_BYTES, packwriter.CAPACITY = usual
    return Counter([*names, "orders"]) + Counter(
        {"operations ordered": world.steps, "packs removed": removed(world)}
    )


TRIAL = Trial(
    "interleavings",
    "R4, R5",
    "No order of operations loses a point that was committed, then or after more prunes.",
    case,
    short=30,
    long=6_000,
)
