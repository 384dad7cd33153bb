"""A TCP relay on 127.0.0.1 that can be cut, as a network can: nobody answers, and what was open is closed."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PART_BYTES = 1 << 16


class Relay:
    """Connections to ``port`` go on to another port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @contextmanager
    def cut(self) -> Iterator[None]:
        self.close()
        try:
            yield
        finally:
            self._listener = self._listen(self.port)

    def close(self) -> None:
        """Stop listening, and end what is open."""
        for each in (self._listener, *tuple(self._open)):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(("127.0.0.1", self._target)) as far:
            ends = {near: far, far: near}
            for end in ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= set(ends)
            try:
                with selectors.DefaultSelector() as selector:
                    for end in ends:
                        selector.register(end, selectors.EVENT_READ)
                    while True:
                        for key, _ in selector.select():
                            assert isinstance(key.fileobj, socket.socket)
                            part = key.fileobj.recv(_PART_BYTES)
                            if not part:
                                return
                            ends[key.fileobj].sendall(part)
            finally:
                self._open -= set(ends)
