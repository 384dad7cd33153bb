"""The digest of a disk: the root of a tree over its parts, which are hashed side by side, and of which holes are free.

docs/evidence.md has the construction. Leaves are BLAKE3 of parts of 1 MiB, the last as long as what is left; the tree
is that of RFC 9162.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from blake3 import blake3

from restorium.disks.blocks import data_runs
from restorium.disks.interface import DiskReader

PART_BYTES = 1 << 20
_NODE = "restorium 2026-11 evidence tree node"
_RUN_PARTS = 4
_AHEAD = 16


class Tree:
    """The root over leaves that are added in order. Its memory grows with the logarithm of their number."""

    def __init__(self) -> None:
        self._count = 0
        self._full: list[tuple[int, bytes]] = []
        """Subtrees of 2^n leaves and their roots, the first and largest first."""

    def add(self, leaf: bytes) -> None:
        self._push(0, leaf)

    def repeat(self, leaf: bytes, count: int) -> None:
        """The same leaf so many times, in logarithmic time."""
        while count:
            aligned = (self._count & -self._count).bit_length() - 1 if self._count else count.bit_length() - 1
            height = min(aligned, count.bit_length() - 1)
            self._push(height, _uniform(leaf, height))
            count -= 1 << height

    def root(self) -> bytes:
        """Raises ValueError without leaves."""
        if not self._full:
            raise ValueError("a tree without leaves has no root")
        *left, (_, root) = self._full
        for _, subtree in reversed(left):
            root = _node(subtree, root)
        return root

    def _push(self, height: int, root: bytes) -> None:
        self._count += 1 << height
        while self._full and self._full[-1][0] == height:
            root = _node(self._full.pop()[1], root)
            height += 1
        self._full.append((height, root))


class DiskTree:
    """The tree over a disk of ``size`` bytes, whose parts come in order, as digests or as holes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._reached = 0
        self._tree = Tree()

    def add(self, leaves: Iterable[bytes]) -> None:
        """The digests of the next parts."""
        for leaf in leaves:
            self._reached = min(self._reached + PART_BYTES, self._size)
            self._tree.add(leaf)

    def skip(self, end: int) -> None:
        """All parts up to the byte ``end`` read as zeros."""
        full = (end - self._reached) // PART_BYTES
        self._tree.repeat(_ZERO_LEAF, full)
        self._reached += full * PART_BYTES
        if self._reached < end:
            self.add([blake3(bytes(end - self._reached)).digest()])

    def digest(self) -> str:
        """64 hexadecimal digits. A disk of no bytes has one part, which is empty."""
        if self._reached != self._size:
            raise ValueError(f"{self._reached} bytes of a disk of {self._size} were hashed")
        if not self._size:
            self._tree.add(blake3().digest())
        return self._tree.root().hex()


def part_digests(content: memoryview) -> list[bytes]:
    """The digests of the parts in ``content``, which begins where one does. Does not hold the interpreter's lock."""
    return [
        blake3(content[start : start + PART_BYTES]).digest() for start in range(0, len(content), PART_BYTES)
    ]


def disk_digest(reader: DiskReader, *, progress: Callable[[int], None] = lambda count: None) -> str:
    """The digest of a whole disk. progress: called with the bytes of data newly read. Raises DiskDamaged."""
    tree, hashed = DiskTree(reader.size), 0
    under_way: deque[tuple[range, Future[list[bytes]]]] = deque()

    def settle() -> None:
        nonlocal hashed
        run, digests = under_way.popleft()
        tree.skip(run.start)
        tree.add(digests.result())
        progress(len(run))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            for run in _data(reader):
                under_way.append((run, threads.submit(_read, reader, run)))
                if len(under_way) == _AHEAD:
                    settle()
            while under_way:
                settle()
        finally:
            threads.shutdown(cancel_futures=True)
    tree.skip(reader.size)
    return tree.digest()


def _data(reader: DiskReader) -> Iterator[range]:
    """Bytes of the runs of parts that hold data."""
    for _, runs in data_runs(reader.extents(), reader.size, PART_BYTES, _RUN_PARTS):
        for run in runs:
            yield range(run.start * PART_BYTES, min(run.stop * PART_BYTES, reader.size))


def _read(reader: DiskReader, run: range) -> list[bytes]:
    content = memoryview(bytearray(len(run)))
    reader.read_into(run.start, content)
    return part_digests(content)


def _node(left: bytes, right: bytes) -> bytes:
    return blake3(left + right, derive_key_context=_NODE).digest()


@lru_cache(maxsize=128)
def _uniform(leaf: bytes, height: int) -> bytes:
    """The root over 2^height equal leaves."""
    if height == 0:
        return leaf
    below = _uniform(leaf, height - 1)
    return _node(below, below)


_ZERO_LEAF = blake3(bytes(PART_BYTES)).digest()
