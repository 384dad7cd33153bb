"""Where a server listens, and a socket whose every wait has an end."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from restorium.vocabulary.errors import HostError


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """called: what messages say in place of the path."""

    path: Path
    called: str | None = None

    def __str__(self) -> str:
        return self.called or str(self.path)


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    host: str
    port: int = 10809

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Endpoint = UnixEndpoint | TcpEndpoint


class Line:
    """A connected socket. Every method raises HostError when the other side is gone, or silent for ``timeout`` seconds.

    what: names the export and the place, for messages.
    """

    def __init__(self, endpoint: Endpoint, what: str, timeout: float) -> None:
        self._what = what
        self._timeout = timeout
        try:
            self._socket = _connect(endpoint, timeout)
        except OSError as error:
            raise HostError(
                f"{what} cannot be reached: {_reason(error)}", hint="Check that the NBD server runs."
            ) from error

    def send(self, *parts: bytes | memoryview) -> None:
        """All of the parts, one after the other."""
        try:
            for part in parts:
                self._socket.sendall(part)
        except OSError as error:
            raise self._lost(error) from error

    def receive_into(self, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = self._socket.recv_into(buffer[done:])
            except OSError as error:
                raise self._lost(error) from error
            if not count:
                raise HostError(f"{self._what} was closed by its server", hint=_AGAIN)
            done += count

    def receive(self, length: int) -> bytearray:
        """Exactly so many bytes; the caller has seen to it that the length is a sane one."""
        content = bytearray(length)
        self.receive_into(memoryview(content))
        return content

    def set_timeout(self, seconds: float) -> None:
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Whoever waits in another thread is woken up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _lost(self, error: OSError) -> HostError:
        if isinstance(error, TimeoutError):
            return HostError(f"{self._what} did not answer for {self._timeout:g} s", hint=_AGAIN)
        return HostError(f"{self._what} was lost: {_reason(error)}", hint=_AGAIN)


_AGAIN = "Check that the VM's host and its NBD server run, then try again."


def _connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    if isinstance(endpoint, TcpEndpoint):
        connected = socket.create_connection((endpoint.host, endpoint.port), timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        connected.connect(str(endpoint.path))
    except BaseException:
        connected.close()
        raise
    return connected


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
