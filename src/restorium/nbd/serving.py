"""One connection of a client to the server: a few threads take turns at reading requests, and answer side by side.

What a client can make the server hold is 4 reads of 4 MiB, and an option of 64 KiB before.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from restorium.nbd import protocol
from restorium.nbd.negotiation import MOST_READ_BYTES, Chosen, Ended, negotiate
from restorium.nbd.protocol import Allocation, Chunk, Command, CommandFlag, Error
from restorium.nbd.shared import Away, Shared, Unreadable

_THREADS = 4
_MOST_EXTENTS = 4096
_PATIENCE_SECONDS = 30
"""For the rest of a message, and for a client to take what it asked for."""


@dataclass(frozen=True, slots=True)
class _Request:
    flags: int
    command: int
    cookie: int
    offset: int
    length: int


class Wire:
    """A client's socket: reads wait for ever for a message to begin, and not for long for its end. Raises Ended."""

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        patience = struct.pack("@ll", _PATIENCE_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)

    def wait(self) -> None:
        """Until there is something to receive."""
        try:
            self._poll.poll()
        except OSError as error:
            raise Ended from error

    def receive(self, length: int) -> bytearray:
        content = bytearray(length)
        view, done = memoryview(content), 0
        while done < length:
            try:
                count = self._socket.recv_into(view[done:])
            except OSError as error:
                raise Ended from error
            if not count:
                raise Ended
            done += count
        return content

    def skip(self, length: int) -> None:
        while length:
            length -= len(self.receive(min(length, 64 << 10)))

    def send(self, *parts: bytes | memoryview) -> None:
        try:
            for part in parts:
                self._socket.sendall(part)
        except OSError as error:
            raise Ended from error

    def hang_up(self) -> None:
        """Whoever waits is woken up; the socket is still to be closed."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class Serving:
    """ended: called when the connection is over."""

    def __init__(
        self, client: socket.socket, exports: Mapping[str, Shared], ended: Callable[[Serving], None]
    ) -> None:
        self._wire = Wire(client)
        self._exports = exports
        self._ended = ended
        self._receiving = threading.Lock()
        self._sending = threading.Lock()

        self._thread = threading.Thread(target=self._run, name="nbd client", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until the connection is over, or no longer."""
        self._thread.join(seconds)

    def hang_up(self) -> None:
        self._wire.hang_up()

    def _run(self) -> None:
        try:
            chosen = negotiate(self._wire, self._exports)
            if chosen is not None:
                others = [
                    threading.Thread(target=self._answer, args=(chosen,), name="nbd client", daemon=True)
                    for _ in range(_THREADS - 1)
                ]
                for thread in others:
                    thread.start()
                self._answer(chosen)
                for thread in others:
                    thread.join()
        except Ended:
            pass
        finally:
            self._wire.hang_up()
            self._wire.close()
            self._ended(self)

    def _answer(self, chosen: Chosen) -> None:
        """Requests one after the other, until the connection is over."""
        try:
            while True:
                with self._receiving:
                    request = self._next()
                if request.command == Command.READ:
                    self._read(chosen, request)
                elif request.command == Command.BLOCK_STATUS:
                    self._block_status(chosen, request)
                elif request.command == Command.FLUSH:
                    self._send_simple(request, 0)
                else:
                    refused = (Command.WRITE, Command.TRIM, Command.WRITE_ZEROES)
                    self._send_simple(request, Error.EPERM if request.command in refused else Error.EINVAL)
        except (Ended, Away):
            pass
        finally:
            # The others wait for what will never come.
            self._wire.hang_up()

    def _next(self) -> _Request:
        self._wire.wait()
        magic, *rest = protocol.REQUEST.unpack(self._wire.receive(protocol.REQUEST.size))
        request = _Request(*rest)
        if magic != protocol.REQUEST_MAGIC or request.command == Command.DISC:
            raise Ended
        if request.command == Command.WRITE:
            if request.length > protocol.MAX_REQUEST_BYTES:
                raise Ended
            self._wire.skip(request.length)
        return request

    def _read(self, chosen: Chosen, request: _Request) -> None:
        export = chosen.export
        if (
            request.offset + request.length > export.size
            or request.length > MOST_READ_BYTES
            or request.flags & ~CommandFlag.DF
        ):
            self._refuse(chosen, request, Error.EINVAL)
            return
        content = memoryview(bytearray(request.length))
        try:
            export.read_into(request.offset, content)
        except Unreadable:
            self._refuse(chosen, request, Error.EIO)
            return
        if not chosen.structured:
            header = protocol.SIMPLE_REPLY.pack(protocol.SIMPLE_REPLY_MAGIC, 0, request.cookie)
            self._send(header, content)
        elif not request.length:
            self._send_chunk(request, Chunk.NONE)
        else:
            self._send_chunk(request, Chunk.OFFSET_DATA, protocol.U64.pack(request.offset), content)

    def _block_status(self, chosen: Chosen, request: _Request) -> None:
        export = chosen.export
        if (
            not chosen.allocation
            or not request.length
            or request.offset + request.length > export.size
            or request.flags & ~CommandFlag.REQ_ONE
        ):
            self._refuse(chosen, request, Error.EINVAL)
            return
        most = 1 if request.flags & CommandFlag.REQ_ONE else _MOST_EXTENTS
        try:
            extents = export.extents(request.offset, request.length, most)
        except Unreadable:
            self._refuse(chosen, request, Error.EIO)
            return
        hole = Allocation.HOLE | Allocation.ZERO
        told = b"".join(
            protocol.STATUS_EXTENT.pack(extent.length, hole if extent.hole else 0) for extent in extents
        )
        self._send_chunk(request, Chunk.BLOCK_STATUS, protocol.U32.pack(Chosen.ALLOCATION_NUMBER), told)

    def _refuse(self, chosen: Chosen, request: _Request, error: Error) -> None:
        if chosen.structured:
            self._send_chunk(request, Chunk.ERROR, protocol.ERROR_CHUNK.pack(error, 0))
        else:
            self._send_simple(request, error)

    def _send_simple(self, request: _Request, error: int) -> None:
        self._send(protocol.SIMPLE_REPLY.pack(protocol.SIMPLE_REPLY_MAGIC, error, request.cookie))

    def _send_chunk(self, request: _Request, kind: Chunk, *payload: bytes | memoryview) -> None:
        header = protocol.STRUCTURED_REPLY.pack(
            protocol.STRUCTURED_REPLY_MAGIC,
            protocol.CHUNK_DONE,
            kind,
            request.cookie,
            sum(map(len, payload)),
        )
        self._send(header, *payload)

    def _send(self, *parts: bytes | memoryview) -> None:
        with self._sending:
            self._wire.send(*parts)
