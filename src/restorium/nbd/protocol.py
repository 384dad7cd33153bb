"""The protocol's numbers and the shapes of its messages, all big-endian."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct

SERVER_MAGIC = 0x4E42444D41474943
OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x0003E889045565A9
OLDSTYLE_MAGIC = 0x0000420281861253
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
STRUCTURED_REPLY_MAGIC = 0x668E33EF

GREETING = Struct(">QQH")
"""Server magic, option magic, handshake flags."""
CLIENT_FLAGS = Struct(">I")
OPTION = Struct(">QII")
"""Option magic, option, length of its data."""
OPTION_REPLY = Struct(">QIII")
"""Magic, option, type, length of its data."""
REQUEST = Struct(">IHHQQI")
"""Magic, flags, command, cookie, offset, length."""
SIMPLE_REPLY = Struct(">IIQ")
"""Magic, error, cookie."""
STRUCTURED_REPLY = Struct(">IHHQI")
"""Magic, flags, type, cookie, length of its payload."""
INFO_EXPORT = Struct(">HQH")
"""Info type, size, transmission flags."""
INFO_BLOCK_SIZE = Struct(">HIII")
"""Info type; least, preferred and greatest length of a request."""
U16 = Struct(">H")
U32 = Struct(">I")
U64 = Struct(">Q")
STATUS_EXTENT = Struct(">II")
"""Length, flags."""
HOLE_CHUNK = Struct(">QI")
"""Offset, length."""
ERROR_CHUNK = Struct(">IH")
"""Error, length of the message that follows."""

MAX_STRING_BYTES = 4096
"""Of an export's or context's name."""
MAX_OPTION_BYTES = 64 << 10
MAX_REQUEST_BYTES = 32 << 20
"""Of one read or write where the server says nothing else."""
ALLOCATION = "base:allocation"


class HandshakeFlag(IntFlag):
    FIXED_NEWSTYLE = 1
    NO_ZEROES = 2


class Option(IntEnum):
    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10


class OptionReply(IntEnum):
    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = 0x80000001
    ERR_POLICY = 0x80000002
    ERR_INVALID = 0x80000003
    ERR_TLS_REQD = 0x80000005
    ERR_UNKNOWN = 0x80000006
    ERR_SHUTDOWN = 0x80000007
    ERR_TOO_BIG = 0x80000009


def dirty_bitmap(name: str) -> str:
    """The context of block status in which QEMU tells of a dirty bitmap."""
    return f"qemu:dirty-bitmap:{name}"


OPTION_ERROR = 0x80000000
"""Set in the type of every option reply that refuses."""


class Info(IntEnum):
    EXPORT = 0
    BLOCK_SIZE = 3


class TransmissionFlag(IntFlag):
    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_FLUSH = 1 << 2
    SEND_WRITE_ZEROES = 1 << 6
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8
    SEND_CACHE = 1 << 10


class Command(IntEnum):
    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(IntFlag):
    FUA = 1 << 0
    DF = 1 << 2
    REQ_ONE = 1 << 3


class Chunk(IntEnum):
    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 0x8001
    ERROR_OFFSET = 0x8002


CHUNK_ERROR = 0x8000
"""Set in the type of every chunk that tells of an error."""
CHUNK_DONE = 1
"""Flag of the last chunk of a reply."""


class Allocation(IntFlag):
    """What ``base:allocation`` says of an extent."""

    HOLE = 1
    ZERO = 2


class Error(IntEnum):
    """The protocol's own numbers, the same on every system."""

    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108
