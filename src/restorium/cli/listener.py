"""The address that a server listens on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from restorium.vocabulary.errors import AlreadyRunning, InvalidInput

_BACKLOG = 1024
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  compared only


@dataclass(frozen=True, slots=True)
class Address:
    """``port`` 0 asks the system for a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST:PORT``, with an IPv6 address in brackets. Raises InvalidInput."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 0xFFFF:
            raise InvalidInput(
                f"{text!r} is not an address to listen on", hint="Write HOST:PORT, such as 127.0.0.1:9398."
            )
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def at(self, listener: socket.socket) -> Self:
        """With the port that ``listener`` really has."""
        return replace(self, port=listener.getsockname()[1])

    @property
    def url(self) -> str:
        return _url(self.host, self.port)

    @property
    def local_url(self) -> str:
        """The URL under which programs on this machine reach it."""
        return _url(_LOOPBACK_OF.get(self.host, self.host), self.port)


@contextmanager
def bind(address: Address) -> Iterator[socket.socket]:
    """A listening socket. Raises AlreadyRunning if the port is taken, else InvalidInput."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delays off only where it is.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AlreadyRunning(
                    f"port {address.port} of {address.host or 'this machine'} is in use",
                    hint="Stop what listens there or choose another address with --listen HOST:PORT.",
                ) from None
            raise InvalidInput(
                f"cannot listen on {address.host}:{address.port}: {error.strerror or error}",
                hint="Choose an address of this machine with --listen HOST:PORT.",
            ) from None
        yield listener


def _url(host: str, port: int) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
