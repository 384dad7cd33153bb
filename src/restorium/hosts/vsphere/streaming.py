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
    """A DiskReader. A read before what is kept has the stream come anew, from its beginning.

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
        if self._received is not None and offset < self._received.floor:
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
    """What has come of a stream. floor: nothing before it is kept."""

    def __init__(self, stream: VmdkStream, lease: Lease) -> None:
        self.floor = 0
        self._lease = lease
        self._size = stream.size
        self._grains = stream.grains()
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0
        self._reached = 0

    def read_into(self, offset: int, buffer: memoryview) -> None:
        end = offset + len(buffer)
        while self._reached < end:
            self._receive()
        buffer[:] = bytes(len(buffer))
        for start, grain in self._kept.items():
            first, last = max(start, offset), min(start + len(grain), end)
            if first < last:
                buffer[first - offset : last - offset] = grain[first - start : last - start]

    def _receive(self) -> None:
        """One grain more, or the end."""
        got = next(self._grains, None)
        if got is None:
            self._reached = self._size
            return
        start, grain = got
        self._kept[start] = grain
        self._kept_bytes += len(grain)
        self._reached = start + len(grain)
        self._lease.percent = 100 * self._reached // self._size
        while self._kept_bytes > _KEPT_BYTES:
            oldest = next(iter(self._kept))
            dropped = self._kept.pop(oldest)
            self._kept_bytes -= len(dropped)
            self.floor = oldest + len(dropped)
