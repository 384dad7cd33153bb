"""Holding a whole vault against its own digests: every pack read, every point's tables followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from restorium.vault.chunkstore import ChunkStore
from restorium.vault.packs import has_header, pack_name, read_footer
from restorium.vault.workers import Workers
from restorium.vocabulary.errors import DataCorrupt, NotFound


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and with which object of the storage or which restore point."""

    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``read_bytes`` of packs were read; nothing is wrong if ``findings`` is empty."""

    packs: int
    points: int
    read_bytes: int
    findings: tuple[Finding, ...]


def verify_packs(
    chunks: ChunkStore,
    progress: Callable[[int], None],
    cancelled: Callable[[], bool],
    threads: int,
) -> tuple[int, int, list[Finding]]:
    """Read every pack and every chunk in it; how many, how many bytes, and what is wrong."""
    count = total = 0
    findings: list[Finding] = []
    reads: deque[Future[list[Finding]]] = deque()
    with Workers(threads, cancelled) as workers:
        for pack_id, size in chunks.list_packs():
            count += 1
            total += size
            reads.append(workers.submit(_verify_pack, chunks, pack_id, size, progress))
            while reads and reads[0].done():
                findings += reads.popleft().result()
        while reads:
            last = workers.result(reads.popleft())
            findings += last
    return count, total, findings


def _verify_pack(
    chunks: ChunkStore, pack_id: bytes, size: int, progress: Callable[[int], None]
) -> list[Finding]:
    name = pack_name(pack_id)
    findings = [Finding(name, problem) for problem in _pack_problems(chunks, pack_id, size)]
    progress(size)
    return findings


def _pack_problems(chunks: ChunkStore, pack_id: bytes, size: int) -> Iterator[str]:
    try:
        content = chunks.storage.get_range(pack_name(pack_id), 0, size)
        locations = read_footer(chunks.storage, chunks.keyring, pack_id, size)
    except (DataCorrupt, NotFound) as error:
        yield error.message
        return
    if not has_header(content, pack_id):
        yield "the header is damaged"
    for location in locations:
        if chunks.decode(location, content[location.offset : location.end]) is None:
            yield f"chunk {location.entry.id.hex()[:16]} does not match its digest"
