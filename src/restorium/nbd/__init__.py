"""The network block device protocol, fixed newstyle: a client that reads and writes exports of others, and a
server of disks to read.

Facts are those of the protocol's document (NetworkBlockDevice/nbd, doc/proto.md). Invariants: nothing waits for ever,
for every read from a socket has a time limit; what the other side sends is bounded before room is made for it; a
connection on which anything went wrong is used no more. Nothing is kept on disk.
"""

from restorium.nbd.client import NbdReader, NbdWriter
from restorium.nbd.protocol import dirty_bitmap
from restorium.nbd.server import NbdServer, check_socket_path
from restorium.nbd.shared import Away
from restorium.nbd.sockets import Endpoint, TcpEndpoint, UnixEndpoint

__all__ = [
    "Away",
    "Endpoint",
    "NbdReader",
    "NbdServer",
    "NbdWriter",
    "TcpEndpoint",
    "UnixEndpoint",
    "check_socket_path",
    "dirty_bitmap",
]
