"""R1: long lives of a disk. Every point of every chain is restored and compared, bytes and holes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord
from tests.support.lives import live
from tests.support.vaults import CHUNK, back_up, new_vault, open_vault
from tests.support.wide import WideDisk
from trials.common import Trial

_GIB = 1 << 30
_LARGE_EVERY = 40


def case(folder: Path, seed: int) -> Counter[str]:
    """A chain of 5 to 24 points; each fortieth has 3 to 8 of a disk around 128 GiB."""
    chance = random.Random(f"rounds {seed}")
    if seed % _LARGE_EVERY == 0:
        rounds = chance.randrange(3, 9)
        return Counter(
            {
                "chains past 128 GiB": 1,
                "points compared": rounds,
                "MiB compared": _live_large(folder, seed, rounds),
            }
        )
    rounds = chance.randrange(5, 25)
    compared = live(folder, seed, rounds)
    return Counter({"chains": 1, "points compared": rounds, "MiB compared": compared >> 20})


def _live_large(folder: Path, seed: int, rounds: int) -> int:
    """Written, zeroed, shrunk and grown about 128 GiB; gives the MiB of data that were compared."""
    chance = random.Random(seed)
    disk = WideDisk(chance.randrange(127 * _GIB, 129 * _GIB))
    points: list[tuple[str, DiskRecord, WideDisk]] = []
    vault = new_vault(folder)
    parent, changed = None, list[Extent]()
    for _ in range(rounds):
        listed = sorted(changed, key=lambda each: each.offset) if chance.random() < 0.5 else None
        name, record = back_up(vault, disk, parent, changed=listed)  # type: ignore[arg-type]
        points.append((name, record, disk.copied()))
        parent = record if chance.random() < 0.9 else None
        changed = []
        for _ in range(chance.randrange(1, 6)):
            _change(disk, chance, changed)
    vault.close()
    vault = open_vault(folder, cache="other")
    compared = 0
    for name, record, expected in points:
        assert vault.point(name).disks == (record,)
        target = WideDisk(record.size)
        vault.restore_disk(record, target)
        assert target.size == expected.size
        assert target.pages.keys() == expected.data().keys(), "holes were written, or data was not"
        assert target.data() == expected.data()
        data = sum(extent.length for extent in vault.extents(record) if not extent.hole)
        ends = {(number + 1) * CHUNK for number in target.pages}
        assert data == sum(CHUNK - max(end - record.size, 0) for end in ends)
        compared += data
    assert vault.verify().findings == ()
    vault.close()
    return compared >> 20


def _change(disk: WideDisk, chance: random.Random, changed: list[Extent]) -> None:
    if chance.random() < 0.3:
        before = disk.size
        disk.resize(chance.randrange(127 * _GIB, 129 * _GIB))
        if disk.size > before:
            changed.append(Extent(before, disk.size - before, hole=False))
        return
    length = chance.randrange(1, 4 * CHUNK)
    # At the start, at the end, or anywhere; often where something lies already.
    places = [0, disk.size - length, chance.randrange(disk.size - length)]
    places += [min(number * CHUNK, disk.size - length) for number in disk.pages]
    start = chance.choice(places)
    disk.write(start, chance.randbytes(length) if chance.random() < 0.7 else bytes(length))
    changed[:] = [each for each in changed if each.end <= disk.size]
    changed.append(Extent(start, length, hole=False))


TRIAL = Trial(
    "chains",
    "R1",
    "Every point of every chain restores byte for byte, and its holes are holes.",
    case,
    short=10,
    long=1000,
)
