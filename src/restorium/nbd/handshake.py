"""How a client comes to an export: options, the contexts of block status, and what the server says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from restorium.nbd import protocol
from restorium.nbd.protocol import HandshakeFlag, Info, Option, OptionReply, TransmissionFlag
from restorium.nbd.sockets import Line
from restorium.vocabulary.errors import HostError, InvalidInput, Unsupported


@dataclass(frozen=True, slots=True)
class Export:
    """What a server says of an export.

    block: what offsets and lengths are multiples of. most: bytes of one request. contexts: the names of those that
    were asked for and are there, by the number the server calls them.
    """

    size: int
    flags: TransmissionFlag
    block: int
    most: int
    contexts: dict[int, str]
    structured: bool


def open_export(line: Line, name: str, what: str, contexts: Sequence[str]) -> Export:
    """Raises HostError, Unsupported for a server that is too old or wants TLS, InvalidInput for a name too long."""
    if any(len(text.encode()) > protocol.MAX_STRING_BYTES for text in (name, *contexts)):
        raise InvalidInput(
            f"names of NBD exports and contexts have at most {protocol.MAX_STRING_BYTES} bytes"
        )
    asking = _Asking(line, what)
    asking.greet()
    structured = asking.accepted(Option.STRUCTURED_REPLY, b"")
    known = asking.contexts(name, contexts) if structured and contexts else {}
    size, flags, block, most = asking.go(name)
    return Export(size, flags, block, most, known, structured)


class _Asking:
    def __init__(self, line: Line, what: str) -> None:
        self._line = line
        self._what = what

    def greet(self) -> None:
        magic, second, flags = protocol.GREETING.unpack(self._line.receive(protocol.GREETING.size))
        if magic != protocol.SERVER_MAGIC:
            raise HostError(f"{self._what} is no NBD server")
        if second != protocol.OPTION_MAGIC or not flags & HandshakeFlag.FIXED_NEWSTYLE:
            raise Unsupported(f"{self._what} speaks an old form of NBD", hint="Use a server such as QEMU's.")
        self._line.send(
            protocol.CLIENT_FLAGS.pack(
                HandshakeFlag.FIXED_NEWSTYLE | (flags & HandshakeFlag.NO_ZEROES),
            )
        )

    def accepted(self, option: Option, data: bytes) -> bool:
        """Whether the server does what the option asks."""
        return [kind for kind, _ in self._answers(option, data)][-1] == OptionReply.ACK

    def contexts(self, name: str, wanted: Sequence[str]) -> dict[int, str]:
        data = _text(name) + protocol.U32.pack(len(wanted)) + b"".join(map(_text, wanted))
        known = {}
        for kind, content in self._answers(Option.SET_META_CONTEXT, data):
            if kind == OptionReply.META_CONTEXT and len(content) >= protocol.U32.size:
                number = protocol.U32.unpack_from(content)[0]
                known[number] = content[protocol.U32.size :].decode(errors="replace")
        return known

    def go(self, name: str) -> tuple[int, TransmissionFlag, int, int]:
        data = _text(name) + protocol.U16.pack(1) + protocol.U16.pack(Info.BLOCK_SIZE)
        export: tuple[int, int] | None = None
        block, most = 1, protocol.MAX_REQUEST_BYTES
        for kind, content in self._answers(Option.GO, data):
            if kind & protocol.OPTION_ERROR:
                raise self._refused(kind, content)
            if kind != OptionReply.INFO or len(content) < protocol.U16.size:
                continue
            info = protocol.U16.unpack_from(content)[0]
            if info == Info.EXPORT and len(content) == protocol.INFO_EXPORT.size:
                _, *export_ = protocol.INFO_EXPORT.unpack(content)
                export = (export_[0], export_[1])
            elif info == Info.BLOCK_SIZE and len(content) == protocol.INFO_BLOCK_SIZE.size:
                _, block, _, greatest = protocol.INFO_BLOCK_SIZE.unpack(content)
                most = min(greatest, most)
        if export is None or not 0 < block <= 64 << 10 or block & (block - 1) or most < block:
            raise HostError(f"{self._what} describes itself in a way that makes no sense")
        return export[0], TransmissionFlag(export[1]), block, most - most % block

    def _answers(self, option: Option, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and content of each reply up to the one that ends the option."""
        self._line.send(protocol.OPTION.pack(protocol.OPTION_MAGIC, option, len(data)) + data)
        for _ in range(_MOST_ANSWERS):
            header = self._line.receive(protocol.OPTION_REPLY.size)
            magic, answered, kind, length = protocol.OPTION_REPLY.unpack(header)
            if (
                magic != protocol.OPTION_REPLY_MAGIC
                or answered != option
                or length > protocol.MAX_OPTION_BYTES
            ):
                raise HostError(f"{self._what} answers what is no NBD")
            yield kind, bytes(self._line.receive(length))
            if kind == OptionReply.ACK or kind & protocol.OPTION_ERROR:
                return
        raise HostError(f"{self._what} answers without end")

    def _refused(self, kind: int, content: bytes) -> HostError | Unsupported:
        said = "".join(filter(str.isprintable, content[:200].decode(errors="replace")))
        if kind == OptionReply.ERR_TLS_REQD:
            return Unsupported(f"{self._what} wants TLS", hint="Let the server listen on a unix socket.")
        if kind == OptionReply.ERR_UNSUP:
            return Unsupported(f"{self._what} speaks an old form of NBD", hint="Use a server such as QEMU's.")
        if kind == OptionReply.ERR_UNKNOWN:
            return HostError(f"{self._what} has no such export", hint="Check the export's name.")
        return HostError(f"{self._what} was refused by its server: {said or f'reply {kind:#x}'}")


_MOST_ANSWERS = 1000


def _text(value: str) -> bytes:
    encoded = value.encode()
    return protocol.U32.pack(len(encoded)) + encoded
