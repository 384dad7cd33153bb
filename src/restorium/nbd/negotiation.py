"""The server's side of the handshake: which export, and how it is spoken of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from restorium.nbd import protocol
from restorium.nbd.protocol import HandshakeFlag, Info, Option, OptionReply, TransmissionFlag
from restorium.nbd.shared import Shared

_PREFERRED_BYTES = 256 << 10
MOST_READ_BYTES = 4 << 20
"""Of one request, as clients are told."""
_MOST_OPTIONS = 128


class Ended(Exception):
    """The connection is over, for whatever reason."""


class Talking(Protocol):
    """Both raise Ended."""

    def receive(self, length: int) -> bytearray: ...
    def send(self, *parts: bytes | memoryview) -> None: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a client has settled on. allocation: whether it may ask for block status."""

    export: Shared
    structured: bool
    allocation: bool

    ALLOCATION_NUMBER: ClassVar[int] = 1
    """What the server calls ``base:allocation``."""


def negotiate(wire: Talking, exports: Mapping[str, Shared]) -> Chosen | None:
    """None if the client took its leave. Raises Ended for one that breaks the protocol."""
    return _Negotiation(wire, exports).run()


class _Malformed(Exception):
    """An option whose data is not what it should be."""


class _Negotiation:
    def __init__(self, wire: Talking, exports: Mapping[str, Shared]) -> None:
        self._wire = wire
        self._exports = exports
        self._structured = False
        self._allocation_of: Shared | None = None

    def run(self) -> Chosen | None:
        offered = HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES
        self._wire.send(protocol.GREETING.pack(protocol.SERVER_MAGIC, protocol.OPTION_MAGIC, offered))
        (flags,) = protocol.CLIENT_FLAGS.unpack(self._wire.receive(protocol.CLIENT_FLAGS.size))
        if flags & ~offered:
            raise Ended
        for _ in range(_MOST_OPTIONS):
            magic, option, length = protocol.OPTION.unpack(self._wire.receive(protocol.OPTION.size))
            if magic != protocol.OPTION_MAGIC or length > protocol.MAX_OPTION_BYTES:
                raise Ended
            data = bytes(self._wire.receive(length))
            if option == Option.EXPORT_NAME:
                return self._by_name_only(data, zeroes=not flags & HandshakeFlag.NO_ZEROES)
            if option == Option.ABORT:
                self._reply(option, OptionReply.ACK)
                return None
            try:
                export = self._serve(option, data)
            except _Malformed:
                self._reply(option, OptionReply.ERR_INVALID)
                continue
            if export is not None:
                return self._chosen(export)
        raise Ended

    def _serve(self, option: int, data: bytes) -> Shared | None:
        """Answer an option; gives the export if the client is through with the handshake."""
        if option in (Option.INFO, Option.GO):
            export = self._describe(option, data)
            return export if option == Option.GO else None
        if option in (Option.LIST_META_CONTEXT, Option.SET_META_CONTEXT):
            self._contexts(option, data)
        elif option == Option.STRUCTURED_REPLY:
            if data:
                raise _Malformed
            self._structured = True
            self._reply(option, OptionReply.ACK)
        elif option == Option.LIST:
            if data:
                raise _Malformed
            for name in self._exports:
                encoded = name.encode()
                self._reply(option, OptionReply.SERVER, protocol.U32.pack(len(encoded)) + encoded)
            self._reply(option, OptionReply.ACK)
        else:
            self._reply(option, OptionReply.ERR_UNSUP)
        return None

    def _describe(self, option: int, data: bytes) -> Shared | None:
        fields = _Fields(data)
        name = fields.text()
        wanted = [fields.u16() for _ in range(fields.u16())]
        fields.end()
        export = self._find(name)
        if export is None:
            self._reply(option, OptionReply.ERR_UNKNOWN)
            return None
        told = protocol.INFO_EXPORT.pack(Info.EXPORT, export.size, self._flags())
        self._reply(option, OptionReply.INFO, told)
        if Info.BLOCK_SIZE in wanted:
            sizes = protocol.INFO_BLOCK_SIZE.pack(Info.BLOCK_SIZE, 1, _PREFERRED_BYTES, MOST_READ_BYTES)
            self._reply(option, OptionReply.INFO, sizes)
        self._reply(option, OptionReply.ACK)
        return export

    def _contexts(self, option: int, data: bytes) -> None:
        fields = _Fields(data)
        name = fields.text()
        queries = [fields.text() for _ in range(fields.u32())]
        fields.end()
        setting = option == Option.SET_META_CONTEXT
        if not self._structured:
            raise _Malformed
        export = self._find(name)
        if export is None:
            self._reply(option, OptionReply.ERR_UNKNOWN)
            return
        asked = protocol.ALLOCATION in queries
        if not setting:
            asked = asked or not queries or "base:" in queries
        if setting:
            self._allocation_of = export if asked else None
        if asked:
            number = Chosen.ALLOCATION_NUMBER if setting else 0
            told = protocol.U32.pack(number) + protocol.ALLOCATION.encode()
            self._reply(option, OptionReply.META_CONTEXT, told)
        self._reply(option, OptionReply.ACK)

    def _by_name_only(self, data: bytes, *, zeroes: bool) -> Chosen:
        export = self._find(data.decode(errors="replace"))
        if export is None:
            raise Ended
        self._wire.send(
            protocol.U64.pack(export.size) + protocol.U16.pack(self._flags()) + bytes(124 * zeroes)
        )
        return self._chosen(export)

    def _chosen(self, export: Shared) -> Chosen:
        return Chosen(export, self._structured, self._structured and self._allocation_of is export)

    def _find(self, name: str) -> Shared | None:
        """The only export goes by no name too."""
        if not name and len(self._exports) == 1:
            return next(iter(self._exports.values()))
        return self._exports.get(name)

    def _flags(self) -> int:
        flags = TransmissionFlag.HAS_FLAGS | TransmissionFlag.READ_ONLY | TransmissionFlag.CAN_MULTI_CONN
        return flags | TransmissionFlag.SEND_DF if self._structured else flags

    def _reply(self, option: int, kind: OptionReply, data: bytes = b"") -> None:
        header = protocol.OPTION_REPLY.pack(protocol.OPTION_REPLY_MAGIC, option, kind, len(data))
        self._wire.send(header + data)


class _Fields:
    """What an option's data consists of. All raise _Malformed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def u16(self) -> int:
        return int.from_bytes(self._take(2))

    def u32(self) -> int:
        return int.from_bytes(self._take(4))

    def text(self) -> str:
        length = self.u32()
        if length > protocol.MAX_STRING_BYTES:
            raise _Malformed
        return self._take(length).decode(errors="replace")

    def end(self) -> None:
        if self._place != len(self._data):
            raise _Malformed

    def _take(self, length: int) -> bytes:
        taken = self._data[self._place : self._place + length]
        if len(taken) != length:
            raise _Malformed
        self._place += length
        return taken
