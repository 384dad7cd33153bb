"""One connection to an export, used by one thread at a time, with several requests under way."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from restorium.nbd import protocol
from restorium.nbd.handshake import open_export
from restorium.nbd.protocol import Chunk, Command, Error
from restorium.nbd.sockets import Endpoint, Line
from restorium.vocabulary.errors import HostError

_IN_FLIGHT = 4
_MAX_PAYLOAD = 16 << 20
"""Of a chunk that is no data of a disk."""


@dataclass(slots=True)
class Request:
    """One command. data: what is written. into: where what is read goes, which has ``length`` bytes then.

    error: what the server answered, one of protocol.Error as a rule; 0 if it did what was asked. statuses: by the
    context's number the extents of a block status, as pairs of length and flags.
    """

    command: Command
    offset: int
    length: int
    data: memoryview | None = None
    into: memoryview | None = None
    flags: int = 0
    error: int = 0
    message: str = ""
    statuses: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    received: int = 0


class Connection:
    """Raises HostError from every method once anything of the transport has gone wrong."""

    def __init__(
        self, endpoint: Endpoint, name: str, what: str, contexts: Sequence[str], *, timeout: float
    ) -> None:
        self._what = what
        self._line = Line(endpoint, what, timeout)
        self._cookie = 0
        self._broken: str | None = None
        try:
            self.export = open_export(self._line, name, what, contexts)
        except BaseException:
            self._line.close()
            raise

    def set_timeout(self, seconds: float) -> None:
        self._line.set_timeout(seconds)

    def run(self, requests: Iterable[Request], done: Callable[[Request], None]) -> None:
        """Send the requests, a few ahead of their answers, and give each to ``done`` when it is answered."""
        if self._broken is not None:
            raise HostError(self._broken)
        waiting: deque[Request] = deque(requests)
        under_way: dict[int, Request] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < _IN_FLIGHT:
                    self._cookie += 1
                    under_way[self._cookie] = waiting[0]
                    self._send(self._cookie, waiting.popleft())
                cookie = self._receive(under_way)
                if cookie is not None:
                    done(under_way.pop(cookie))
        except HostError as error:
            self._break(error.message)
            raise
        except BaseException:
            # Answers that nobody fetched would be taken for those of the next request.
            if under_way:
                self._break(f"{self._what} was left in the middle of an answer")
            raise

    def close(self) -> None:
        if self._broken is None:
            self._broken = f"{self._what} is closed"
        self._line.close()

    def disconnect(self) -> None:
        """Say good-bye, then close. Only where no request is under way."""
        if self._broken is None:
            with contextlib.suppress(HostError):
                self._line.send(protocol.REQUEST.pack(protocol.REQUEST_MAGIC, 0, Command.DISC, 0, 0, 0))
        self.close()

    def _break(self, message: str) -> None:
        self._broken = self._broken or message
        self._line.close()

    def _send(self, cookie: int, request: Request) -> None:
        header = protocol.REQUEST.pack(
            protocol.REQUEST_MAGIC, request.flags, request.command, cookie, request.offset, request.length
        )
        if request.data is None:
            self._line.send(header)
        else:
            self._line.send(header, request.data)

    def _receive(self, under_way: dict[int, Request]) -> int | None:
        """One reply or chunk of one; gives the cookie of the request that it ends."""
        header = self._line.receive(protocol.SIMPLE_REPLY.size)
        (magic,) = protocol.U32.unpack_from(header)
        if magic == protocol.SIMPLE_REPLY_MAGIC:
            _, error, cookie = protocol.SIMPLE_REPLY.unpack(header)
            return self._simple(self._of(under_way, cookie), error, cookie)
        if magic != protocol.STRUCTURED_REPLY_MAGIC or not self.export.structured:
            raise self._nonsense()
        header += self._line.receive(protocol.STRUCTURED_REPLY.size - len(header))
        _, flags, kind, cookie, length = protocol.STRUCTURED_REPLY.unpack(header)
        request = self._of(under_way, cookie)
        self._chunk(request, kind, length)
        if not flags & protocol.CHUNK_DONE:
            return None
        if request.into is not None and not request.error and request.received != request.length:
            raise self._nonsense()
        return int(cookie)

    def _simple(self, request: Request, error: int, cookie: int) -> int:
        if request.into is not None and not error:
            if self.export.structured:
                raise self._nonsense()
            self._line.receive_into(request.into)
        request.error = error
        return cookie

    def _chunk(self, request: Request, kind: int, length: int) -> None:
        if kind == Chunk.OFFSET_DATA and length > protocol.U64.size:
            (offset,) = protocol.U64.unpack(self._line.receive(protocol.U64.size))
            self._line.receive_into(self._part(request, offset, length - protocol.U64.size))
        elif kind == Chunk.OFFSET_HOLE and length == protocol.HOLE_CHUNK.size:
            offset, count = protocol.HOLE_CHUNK.unpack(self._line.receive(length))
            part = self._part(request, offset, count)
            part[:] = bytes(count)
        elif length > _MAX_PAYLOAD:
            raise self._nonsense()
        else:
            self._told(request, kind, self._line.receive(length))

    def _told(self, request: Request, kind: int, payload: bytearray) -> None:
        if kind & protocol.CHUNK_ERROR and len(payload) >= protocol.ERROR_CHUNK.size:
            error, length = protocol.ERROR_CHUNK.unpack_from(payload)
            text = payload[protocol.ERROR_CHUNK.size :][: min(length, 200)].decode(errors="replace")
            request.error = error or Error.EIO
            request.message = "".join(filter(str.isprintable, text))
        elif kind == Chunk.BLOCK_STATUS and len(payload) % protocol.STATUS_EXTENT.size == protocol.U32.size:
            (context,) = protocol.U32.unpack_from(payload)
            extents = memoryview(payload)[protocol.U32.size :]
            request.statuses[context] = [(a, b) for a, b in protocol.STATUS_EXTENT.iter_unpack(extents)]
        elif kind != Chunk.NONE or payload:
            raise self._nonsense()

    def _part(self, request: Request, offset: int, length: int) -> memoryview:
        start = offset - request.offset
        if request.into is None or start < 0 or start + length > request.length:
            raise self._nonsense()
        request.received += length
        return request.into[start : start + length]

    def _of(self, under_way: dict[int, Request], cookie: int) -> Request:
        if cookie not in under_way:
            raise self._nonsense()
        return under_way[cookie]

    def _nonsense(self) -> HostError:
        return HostError(f"{self._what} answers what is no NBD")
