"""A disk that is sent over HTTPS while it is written.

A vCenter Server takes a disk only whole and in order. So what is written out of order waits here. An upload cannot
be gone on with: what was interrupted begins anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from restorium.disks.files import OpenDisk
from restorium.disks.interface import Extent, data_extents
from restorium.vocabulary.errors import HostError, RestoriumError, TargetFull

_MOST_WAITING_BYTES = 96 << 20
_ACCEPTED = (200, 201)
_NO_ROOM = 507

Pieces = Iterator[tuple[int, bytes]]
"""What the extents with data hold, in order, each with its offset."""


class OrderedUpload(OpenDisk):
    """A DiskWriter. extents: what will be written. send: begins with the first of it, in a thread of its own."""

    def __init__(
        self, label: str, size: int, extents: Iterable[Extent], send: Callable[[Pieces], None]
    ) -> None:
        super().__init__(label, size)
        self._extents = tuple(data_extents(extents))
        self._send = send
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0
        self._next = 0
        self._closed = False
        self._failure: RestoriumError | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.check_inside(offset, len(data))
        if not len(data):
            return
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._upload, name="upload", daemon=True)
                self._thread.start()
            self._check()
            if offset < self._next:
                raise HostError(f"{self.name}: bytes from {offset} were sent already", hint="Restore again.")
            self._waiting[offset] = bytes(data)
            self._waiting_bytes += len(data)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait while much waits to be sent. Nothing is kept before ``close``. Raises what the upload met.

        Here and not in ``write``: who waits there might be the one that has what the upload waits for.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._waiting_bytes < _MOST_WAITING_BYTES)
            self._check()

    def close(self) -> None:
        """Wait for the upload's end. Raises HostError, TargetFull."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if error is None:
            self.close()
            return
        with self._changed:
            self._failure = self._failure or HostError(f"{self.name}: the upload was given up")
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _upload(self) -> None:
        try:
            self._send(self._pieces())
        except RestoriumError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever writes must not wait for ever
            self._fail(HostError(f"{self.name} cannot be written: {error}"))

    def _fail(self, error: RestoriumError) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _pieces(self) -> Pieces:
        for extent in self._extents:
            self._next = max(self._next, extent.offset)
            while self._next < extent.end:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._failure or self._closed or self._next in self._waiting
                    )
                    self._check()
                    if self._next not in self._waiting:
                        raise HostError(
                            f"{self.name}: bytes from {self._next} were never written", hint="Restore again."
                        )
                    offset, piece = self._next, self._waiting.pop(self._next)
                    self._waiting_bytes -= len(piece)
                    self._next += len(piece)
                    self._changed.notify_all()
                yield offset, piece


def check_taken(status: int, name: str) -> None:
    """Of the answer to an upload. Raises TargetFull, HostError."""
    if status == _NO_ROOM:
        raise TargetFull(f"there is no room for {name}")
    if status not in _ACCEPTED:
        raise HostError(f"{name} cannot be written: the host answers HTTP {status}")
