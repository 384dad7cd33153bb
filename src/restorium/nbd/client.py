"""Exports of NBD servers as disks: QEMU's own server, qemu-nbd, nbdkit and others.

An error that the server answers leaves the connection as it is; an answer that makes no sense, and a server that is
gone or silent, end it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import LifoQueue

from restorium.disks.files import OpenDisk, joined
from restorium.disks.interface import Extent, data_extents
from restorium.nbd import protocol
from restorium.nbd.connection import Connection, Request
from restorium.nbd.protocol import Allocation, Command, CommandFlag, Error, TransmissionFlag
from restorium.nbd.sockets import Endpoint
from restorium.vocabulary.errors import DiskDamaged, HostError, InvalidInput, TargetFull, Unsupported

_PIECE = 512 << 10
"""Bytes of one read or write; a longer one is cut up."""
_STATUS_SPAN = 1 << 30
_ZEROES_SPAN = 1 << 30
_SECOND_CONNECTION_SECONDS = 2.0
"""A server that takes no more clients lets further ones wait without a word."""
_DIRTY = 1


class _Nbd(OpenDisk):
    """What reading and writing an export have in common: its connections, each for one thread at a time."""

    def __init__(
        self,
        endpoint: Endpoint,
        export: str,
        contexts: Sequence[str],
        connections: int,
        timeout: float,
    ) -> None:
        name = f"the NBD export {export!r} at {endpoint}"
        first = Connection(endpoint, export, name, contexts, timeout=timeout)
        super().__init__(name, first.export.size)
        self._connections = [first]
        self._export = first.export
        if first.export.flags & TransmissionFlag.CAN_MULTI_CONN:
            while len(self._connections) < connections:
                try:
                    more = Connection(
                        endpoint,
                        export,
                        self.name,
                        contexts,
                        timeout=min(timeout, _SECOND_CONNECTION_SECONDS),
                    )
                except HostError:
                    break
                more.set_timeout(timeout)
                self._connections.append(more)
        self._idle: LifoQueue[Connection] = LifoQueue()
        for connection in self._connections:
            self._idle.put(connection)

    def close(self) -> None:
        """Whoever still waits for the server gets a HostError."""
        idle = set()
        while not self._idle.empty():
            connection = self._idle.get()
            connection.disconnect()
            idle.add(connection)
        for connection in self._connections:
            if connection not in idle:
                connection.close()
        for connection in idle:
            self._idle.put(connection)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put(connection)

    def _run(self, requests: Sequence[Request], failed: Callable[[Request], Exception]) -> None:
        """Run all to their end, then raise what ``failed`` makes of the first that the server refused."""
        refused: list[Request] = []

        def done(request: Request) -> None:
            if request.error:
                refused.append(request)

        with self._connection() as connection:
            connection.run(requests, done)
        if refused:
            raise failed(min(refused, key=lambda request: request.offset))

    def _pieces(self, length: int, most: int) -> Iterator[range]:
        piece = max(most - most % self._export.block, self._export.block)
        return (range(start, min(start + piece, length)) for start in range(0, length, piece))


class NbdReader(_Nbd):
    """An export to read, as a DiskReader.

    contexts: those of block status, beside ``base:allocation``, that ``changed`` will be asked for. connections: at the
    most, where the server says that several see the same; else there is one, and threads take turns. timeout: seconds
    that the server may be silent. Raises HostError if it cannot be reached or has no such export, Unsupported if it is
    too old or wants TLS.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        export: str = "",
        *,
        contexts: Sequence[str] = (),
        connections: int = 4,
        timeout: float = 60.0,
    ) -> None:
        super().__init__(endpoint, export, (protocol.ALLOCATION, *contexts), connections, timeout)

    def offers(self, context: str) -> bool:
        """Whether ``changed`` can be asked for this one of ``contexts``."""
        return context in self._export.contexts.values()

    def extents(self) -> Iterator[Extent]:
        """Data and holes, in order, covering the disk; all data where the server does not tell. Raises HostError."""
        if not self.offers(protocol.ALLOCATION):
            return iter([Extent(0, self.size, hole=False)] if self.size else [])
        return joined(
            Extent(offset, length, hole=bool(flags & Allocation.ZERO))
            for offset, length, flags in self._statuses(protocol.ALLOCATION)
        )

    def changed(self, context: str) -> list[Extent]:
        """What a dirty bitmap of QEMU's has as changed, in order. context: ``qemu:dirty-bitmap:NAME``.

        Raises InvalidInput for one that the server does not offer, HostError.
        """
        if not self.offers(context):
            raise InvalidInput(f"{self.name} does not offer {context!r}")
        told = (
            Extent(offset, length, hole=not flags & _DIRTY)
            for offset, length, flags in self._statuses(context)
        )
        return list(data_extents(joined(told)))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Raises DiskDamaged for what the server cannot read, HostError if it is gone or silent."""
        self.check_inside(offset, len(buffer))
        if not len(buffer):
            return
        block = self._export.block
        start, end = offset - offset % block, -(-(offset + len(buffer)) // block) * block
        if (start, end) == (offset, offset + len(buffer)):
            self._read(start, buffer)
            return
        around = memoryview(bytearray(min(end, self.size) - start))
        self._read(start, around)
        buffer[:] = around[offset - start : offset - start + len(buffer)]

    def _read(self, offset: int, buffer: memoryview) -> None:
        # Of a read in pieces QEMU's server hangs up where a piece cannot be read; of a whole one it tells.
        whole = CommandFlag.DF if self._export.flags & TransmissionFlag.SEND_DF else 0
        requests = [
            Request(
                Command.READ,
                offset + piece.start,
                len(piece),
                into=buffer[piece.start : piece.stop],
                flags=whole,
            )
            for piece in self._pieces(len(buffer), min(_PIECE, self._export.most))
        ]
        self._run(
            requests,
            lambda request: DiskDamaged(
                f"{self.name} cannot be read at byte {request.offset}: {_reason(request)}"
            ),
        )

    def _statuses(self, context: str) -> Iterator[tuple[int, int, int]]:
        """Offset, length and flags of each extent, in order, covering the disk."""
        number = next(key for key, name in self._export.contexts.items() if name == context)
        offset = 0
        while offset < self.size:
            span = min(self.size - offset, _STATUS_SPAN)
            request = Request(Command.BLOCK_STATUS, offset, span)
            self._run(
                [request],
                lambda refused: HostError(
                    f"{self.name} does not say what is at byte {refused.offset}: {_reason(refused)}"
                ),
            )
            told = request.statuses.get(number, [])
            if not told or not all(length for length, _ in told):
                raise HostError(f"{self.name} does not say what is at byte {offset}")
            for length, flags in told:
                length = min(length, self.size - offset)
                if length:
                    yield offset, length, flags
                offset += length


class NbdWriter(_Nbd):
    """An export to write, as a DiskWriter. Arguments and errors as those of NbdReader.

    Raises HostError too if the export takes no writes.
    """

    def __init__(
        self, endpoint: Endpoint, export: str = "", *, connections: int = 4, timeout: float = 60.0
    ) -> None:
        super().__init__(endpoint, export, (), connections, timeout)
        if self._export.flags & TransmissionFlag.READ_ONLY:
            self.close()
            raise HostError(f"{self.name} can only be read", hint="Export it for writing.")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Raises TargetFull, HostError."""
        view = memoryview(data)
        self.check_inside(offset, len(view))
        self._check_blocks(offset, len(view))
        requests = [
            Request(Command.WRITE, offset + piece.start, len(piece), data=view[piece.start : piece.stop])
            for piece in self._pieces(len(view), min(_PIECE, self._export.most))
        ]
        self._run(requests, self._not_written)

    def zero(self, offset: int, length: int) -> None:
        """Make these bytes read as zeros, as a hole where the server can. Raises Unsupported, TargetFull, HostError."""
        if not self._export.flags & TransmissionFlag.SEND_WRITE_ZEROES:
            raise Unsupported(f"{self.name} takes no writes of zeros", hint="Write them as data.")
        self.check_inside(offset, length)
        self._check_blocks(offset, length)
        requests = [
            Request(Command.WRITE_ZEROES, offset + piece.start, len(piece))
            for piece in self._pieces(length, _ZEROES_SPAN)
        ]
        self._run(requests, self._not_written)

    def flush(self) -> None:
        """Everything written so far survives a power cut, as far as the server keeps its word."""
        if self._export.flags & TransmissionFlag.SEND_FLUSH:
            self._run([Request(Command.FLUSH, 0, 0)], self._not_written)

    def _check_blocks(self, offset: int, length: int) -> None:
        if offset % self._export.block or length % self._export.block:
            raise InvalidInput(f"{self.name} takes only whole blocks of {self._export.block} bytes")

    def _not_written(self, request: Request) -> HostError | TargetFull:
        message = f"{self.name} cannot be written at byte {request.offset}: {_reason(request)}"
        return TargetFull(message) if request.error == Error.ENOSPC else HostError(message)


def _reason(request: Request) -> str:
    reason = os.strerror(request.error)
    return f"{reason} ({request.message})" if request.message else reason
