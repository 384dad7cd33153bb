"""R10: sources of changed blocks that lie. A disk of 1 GiB, and lists that leave out a part of what has changed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from restorium.disks.interface import Extent
from restorium.vault import DiskRecord, PointDescription, Vault
from tests.support.vaults import CHUNK, CREATED, MemoryDisk, new_vault
from trials.common import Trial

_CHUNKS = 4096
_RUNS = 3
_CHANGED = 0.06
_SHARES = {"0.1 %": 0.001, "1 %": 0.01, "2.5 %": 0.025, "5 %": 0.05, "all": _CHANGED}
"""How much of the disk has changed without being listed. "all": the list is empty, as after a lost epoch."""
_MUST = ("5 %", "all")


class _Numbers(MemoryDisk):
    """Each chunk is one number, over and over."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__(b"")
        self.numbers = numbers

    @property
    def size(self) -> int:
        return len(self.numbers) * CHUNK

    def extents(self):  # type: ignore[no-untyped-def]
        yield Extent(0, self.size, hole=False)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for at in range(0, len(buffer), CHUNK):
            buffer[at : at + CHUNK] = self.numbers[(offset + at) // CHUNK].to_bytes(8, "big") * (CHUNK // 8)
        with self._lock:
            self.read_bytes += len(buffer)


def case(folder: Path, seed: int) -> Counter[str]:
    """Each share once: a run whose list lies, then runs whose lists are true; what was left out stays wrong."""
    chance = random.Random(seed)
    numbers = [chance.randrange(1, 1 << 60) for _ in range(_CHUNKS)]
    counts: Counter[str] = Counter()
    with new_vault(folder) as vault:
        first, _ = _run(vault, numbers, None, None)
        for name, share in _SHARES.items():
            counts[f"lies about {name}"] += 1
            if _is_found(vault, first, list(numbers), share, chance):
                counts[f"found of {name}"] += 1
    return counts


def _is_found(
    vault: Vault, parent: DiskRecord, numbers: list[int], share: float, chance: random.Random
) -> bool:
    touched = chance.sample(range(_CHUNKS), round(_CHANGED * _CHUNKS))
    hidden = touched[: round(share * _CHUNKS)]
    for run in range(_RUNS):
        for chunk in touched:
            numbers[chunk] = chance.randrange(1, 1 << 60)
        listed = [Extent(chunk * CHUNK, CHUNK, hole=False) for chunk in sorted(set(touched) - set(hidden))]
        parent, found = _run(vault, numbers, parent, listed)
        if found:
            for chunk in (*hidden, chance.randrange(_CHUNKS)):
                piece = vault.read(parent, chunk * CHUNK, 8)
                assert piece == numbers[chunk].to_bytes(8, "big"), f"chunk {chunk} is wrong after run {run}"
            return True
        touched = [each for each in chance.sample(range(_CHUNKS), 20) if each not in set(hidden)]
    return False


def _run(
    vault: Vault, numbers: list[int], parent: DiskRecord | None, listed: list[Extent] | None
) -> tuple[DiskRecord, bool]:
    with vault.backup() as writer:
        disk = _Numbers(list(numbers))
        record = writer.write_disk("sda", disk, parent, lambda count: None, lambda: False, changed=listed)
        writer.commit(PointDescription({}, CREATED, (record,)))
        return record, bool(writer.distrusted)


def _judge(counts: Counter[str]) -> str | None:
    for name in _MUST:
        lies, found = counts[f"lies about {name}"], counts[f"found of {name}"]
        if found < 0.99 * lies:
            return f"of {lies} lies about {name} of the disk only {found} were found"
    return None


TRIAL = Trial(
    "changed_lists",
    "R10",
    f"Lists that leave out 5 % of the disk or more: 99 in 100 are found within {_RUNS} runs, the disk is read whole.",
    case,
    short=2,
    long=60,
    judge=_judge,
)
