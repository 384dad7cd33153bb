"""A disk read from a lease: a stream that comes once, in order, behind reads that name their place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack

from restorium.disks.interface import Extent
from restorium.disks.vmdk.stream import VmdkStream
from restorium.hosts.vsphere.leases import Lease
from restorium.hosts.vsphere.mapped import CAPACITY_UNIT, MappedDisk
from restorium.vocabulary.errors import DiskDamaged

_KEPT_BYTES = 96 << 20
"""Of what has come, so that readers who are not quite in order find theirs."""
_PIECE_BYTES = 8 << 20

Stream = Callable[[], AbstractContextManager[tuple[Lease, Iterator[bytes]]]]
"""Begins a vmdk stream; gives the lease that it is of, and its parts as they come."""


class StreamReader(MappedDisk):
    """A DiskReader. What was read is not kept: to read it again has the stream come anew, from its beginning.

    allocated: see MappedDisk.
    """

    def __init__(
        self, stream: Stream, label: str, size: int, allocated: Sequence[Extent] | None = None
    ) -> None:
        super().__init__(label, size, allocated)
        self._stream = stream
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._received: _Received | None = None

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        with self._lock:
            for at in range(0, len(buffer), _PIECE_BYTES):
                self._read_piece(offset + at, buffer[at : at + _PIECE_BYTES])

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _read_piece(self, offset: int, buffer: memoryview) -> None:
        if self._received is not None and not self._received.has(offset, len(buffer)):
            self._forget()
        if self._received is None:
            self._received = self._begun()
        try:
            self._received.read_into(offset, buffer)
        except BaseException:
            self._forget()  # a stream that failed would seem to be at its end
            raise

    def _begun(self) -> _Received:
        lease, parts = self._open.enter_context(self._stream())
        stream = VmdkStream(parts, self.name)
        if not 0 <= stream.size - self.size < CAPACITY_UNIT:
            raise DiskDamaged(f"{self.name} comes as a disk of {stream.size} bytes, not {self.size}")
        return _Received(stream, lease)

    def _forget(self) -> None:
        self._received = None
        self._open.close()


class _Received:
    """What has come of a stream and was not read whole yet, in order. Nothing before ``_floor`` is kept."""

    def __init__(self, stream: VmdkStream, lease: Lease) -> None:
        self._lease = lease
        self._size = stream.size
        self._grain_size = stream.grain_size
        self._grains = stream.grains()
        self._kept: dict[int, bytes | None] = {}
        self._unread: dict[int, int] = {}
        self._kept_bytes = self._floor = self._reached = 0

    def has(self, offset: int, length: int) -> bool:
        """Whether all of that is still to come, or kept, or a hole."""
        return offset >= self._floor and all(
            grain is not None or start >= offset + length or start + self._grain_size <= offset
            for start, grain in self._kept.items()
        )

    def read_into(self, offset: int, buffer: memoryview) -> None:
        end = offset + len(buffer)
        while self._reached < end:
            self._receive()
        buffer[:] = bytes(len(buffer))
        for start, grain in self._kept.items():
            if grain is None:
                continue
            first, last = max(start, offset), min(start + len(grain), end)
            if first < last:
                buffer[first - offset : last - offset] = grain[first - start : last - start]
                self._unread[start] -= last - first
                if self._unread[start] <= 0:
                    self._kept[start] = None
                    self._kept_bytes -= len(grain)
        self._drop_read()

    def _receive(self) -> None:
        """One grain more, or the end."""
        got = next(self._grains, None)
        if got is None:
            self._reached = self._size
            return
        start, grain = got
        self._kept[start], self._unread[start] = grain, len(grain)
        self._kept_bytes += len(grain)
        self._reached = start + len(grain)
        self._lease.percent = 100 * self._reached // self._size
        while self._kept_bytes > _KEPT_BYTES:
            self._drop_oldest()

    def _drop_read(self) -> None:
        while self._kept and next(iter(self._kept.values())) is None:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._kept))
        grain = self._kept.pop(oldest)
        del self._unread[oldest]
        self._kept_bytes -= len(grain or b"")
        self._floor = oldest + self._grain_size
