"""What of a disk is to be read: holes and changed parts, in chunks, a segment of the disk at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from restorium.disks.interface import Extent, data_extents

SEGMENT_CHUNKS = 4096
"""Chunks that one segment of a disk table names."""


def count_chunks(size: int, chunk_size: int) -> int:
    """Chunks of a disk of ``size`` bytes; the last may be shorter."""
    return -(-size // chunk_size)


def count_segments(size: int, chunk_size: int) -> int:
    return -(-count_chunks(size, chunk_size) // SEGMENT_CHUNKS)


def segment_masks(extents: Iterable[Extent], size: int, chunk_size: int) -> Iterator[bytearray]:
    """For each segment of the disk a byte for each chunk: 1 where an extent with data touches it.

    extents: in order of offset; holes among them mean nothing more than a gap does.
    """
    remaining = data_extents(extents)
    current = next(remaining, None)
    chunks = count_chunks(size, chunk_size)
    for start in range(0, chunks, SEGMENT_CHUNKS):
        end = min(start + SEGMENT_CHUNKS, chunks)
        mask = bytearray(end - start)
        while current is not None and current.offset < end * chunk_size:
            first = max(current.offset // chunk_size, start)
            last = min(count_chunks(current.end, chunk_size), end)
            mask[first - start : last - start] = b"\1" * (last - first)
            if current.end > end * chunk_size:
                break
            current = next(remaining, None)
        yield mask


def runs(mask: bytes | bytearray, longest: int) -> Iterator[tuple[int, int]]:
    """The stretches of 1 in ``mask`` as first and end, none longer than ``longest``."""
    first = mask.find(1)
    while first >= 0:
        end = mask.find(0, first)
        end = len(mask) if end < 0 else end
        for start in range(first, end, longest):
            yield start, min(start + longest, end)
        first = mask.find(1, end)
