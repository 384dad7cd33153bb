"""Disks served over a unix socket, to be read and not written.

Threads, for what is read leaves the interpreter's lock while it is fetched, decrypted and decompressed. Nobody but the
process's own user can open the socket. A client that breaks the protocol, or stops in the middle of a message, loses
its connection and nothing else happens; what one can make the server hold is bounded by ``Serving``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from restorium.nbd.serving import Serving
from restorium.nbd.shared import Shared, Source
from restorium.vocabulary.errors import HostError, InvalidInput, RestoriumError

MOST_CONNECTIONS = 8
"""At once, of all exports; who comes beyond is sent away."""
_PATH_BYTES = 107
_CLOSE_SECONDS = 5.0
"""For reads under way; one that storage holds longer is left to itself."""


class NbdServer:
    """Serves ``exports``, by name, from the moment it is made until it is closed.

    path: of the socket; one that an earlier process left there is replaced. user: the id of who may connect besides
    root, this process's if it is not given. troubled: given the export's name and why
    it could not be read, from any thread; the client gets an input/output error. Raises InvalidInput for a path too
    long, HostError.
    """

    def __init__(
        self,
        path: Path,
        exports: Mapping[str, Source],
        *,
        user: int | None = None,
        troubled: Callable[[str, RestoriumError], None] = lambda name, error: None,
    ) -> None:
        self.path = path
        self._exports = {name: Shared(name, source, troubled) for name, source in exports.items()}
        self._lock = threading.Lock()
        self._serving: set[Serving] = set()
        self._closed = False
        self._listener, self._inode = _listen(path, user)
        threading.Thread(target=self._accept, name="nbd accept", daemon=True).start()

    @property
    def clients(self) -> int:
        """Connections that are open."""
        with self._lock:
            return len(self._serving)

    def close(self) -> None:
        """Hang up on everybody and remove the socket, unless another server has taken its name."""
        with self._lock:
            self._closed = True
            serving = list(self._serving)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in serving:
            each.hang_up()
        for each in serving:
            each.wait(_CLOSE_SECONDS)
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except ConnectionAbortedError:
                continue
            except OSError:
                return
            with self._lock:
                if self._closed or len(self._serving) >= MOST_CONNECTIONS:
                    client.close()
                    continue
                serving = Serving(client, self._exports, self._ended)
                self._serving.add(serving)
                serving.start()

    def _ended(self, serving: Serving) -> None:
        with self._lock:
            self._serving.discard(serving)


def check_socket_path(path: Path) -> Path:
    """The name that a server's socket has until it listens. Raises InvalidInput if none can be named so."""
    making = path.with_name(f"{path.name}.new")
    too_many = len(os.fsencode(making)) - _PATH_BYTES
    if too_many > 0:
        raise InvalidInput(
            f"{path} is too long for a socket",
            hint=f"Use a folder whose path is shorter by {too_many} bytes.",
        )
    return making


def _listen(path: Path, user: int | None) -> tuple[socket.socket, int]:
    """A socket that listens and has its name only then, and the number of its file."""
    making = check_socket_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        making.unlink(missing_ok=True)
        listener.bind(str(making))
        making.chmod(0o600)
        if user is not None and user != os.geteuid():
            os.chown(making, user, -1)
        listener.listen(MOST_CONNECTIONS)
        inode = making.lstat().st_ino
        making.rename(path)
    except OSError as error:
        listener.close()
        raise HostError(f"{path} cannot be listened on: {error.strerror}") from error
    return listener, inode
