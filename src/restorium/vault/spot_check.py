"""Reading some of what a list of changes says is unchanged, for such lists have been wrong in every hypervisor."""

from __future__ import annotations

import heapq
import random

from restorium.disks.interface import DiskReader
from restorium.vault.chunks import DataIds
from restorium.vault.keys import RandomBytes

SAMPLES = 64
"""Chunks of a disk that are read although they are said to be unchanged: 16 MiB."""


class ListOfChangesWrong(Exception):
    """What is said to be unchanged is not the parent's. Stays inside the vault."""


class SpotCheck:
    """Draws chunks from all that are offered, each with the same chance, without knowing how many will come."""

    def __init__(self, random_bytes: RandomBytes, ids: DataIds, chunk_size: int) -> None:
        self._random = random.Random(random_bytes(16))  # noqa: S311 - a sample, no secret
        self._ids = ids
        self._chunk_size = chunk_size
        self._drawn: list[tuple[float, int, bytes]] = []

    def offer(self, chunk: int, parent_id: bytes) -> None:
        """A chunk by number that was taken from the parent unread."""
        lot = (self._random.random(), chunk, parent_id)
        if len(self._drawn) < SAMPLES:
            heapq.heappush(self._drawn, lot)
        elif lot > self._drawn[0]:
            heapq.heapreplace(self._drawn, lot)

    def run(self, reader: DiskReader) -> int:
        """Read what was drawn; how many bytes. Raises ListOfChangesWrong, and what the reader raises."""
        read = 0
        buffer = memoryview(bytearray(self._chunk_size))
        for _, chunk, parent_id in sorted(self._drawn, key=lambda lot: lot[1]):
            start = chunk * self._chunk_size
            piece = buffer[: min(self._chunk_size, reader.size - start)]
            reader.read_into(start, piece)
            read += len(piece)
            if self._ids.of(piece) != parent_id:
                wrong = (
                    f"bytes {start} to {start + len(piece)} have changed and are not in the list of changes"
                )
                raise ListOfChangesWrong(wrong)
        return read
