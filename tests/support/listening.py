"""A server that only listens, to see what it is sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.certificates import Certificate


@contextmanager
def listening(certificate: Certificate) -> Iterator[tuple[str, list[bytes]]]:
    """A server with that certificate; gives its address, and what it is sent."""
    got: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                plain.settimeout(5)
                with (
                    suppress(ssl.SSLError, OSError),
                    certificate.serving().wrap_socket(plain, True) as secure,
                ):
                    if part := secure.recv(1000):
                        got.append(part)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
