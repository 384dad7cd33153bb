"""A flat disk file in a datastore, written over HTTPS.

A datastore takes a file only whole and in order. So what is written out of order waits here, and holes are sent as
zeros. An upload cannot be gone on with: what was interrupted begins anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType

from restorium.disks.files import OpenDisk
from restorium.disks.interface import Extent
from restorium.hosts.vsphere.connection import Connection
from restorium.vocabulary.errors import HostError, RestoriumError, TargetFull

_PART_BYTES = 1 << 20
_MOST_WAITING_BYTES = 96 << 20
_ACCEPTED = (200, 201)
_NO_ROOM = 507


class FlatWriter(OpenDisk):
    """A DiskWriter. extents: what will be written; the upload begins with the first of it.

    file_size: of the file, which is the disk's or a little more.
    """

    def __init__(
        self,
        connection: Connection,
        url: str,
        label: str,
        size: int,
        file_size: int,
        extents: Iterable[Extent],
    ) -> None:
        super().__init__(label, size)
        self._connection = connection
        self._url = url
        self._file_size = file_size
        self._extents = tuple(extents)
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
            length = {"Content-Length": str(self._file_size), "Content-Type": "application/octet-stream"}
            with self._connection.request(
                "PUT", self._url, headers=length, content=self._content()
            ) as answer:
                answer.read()
                if answer.status_code == _NO_ROOM:
                    raise TargetFull(f"there is no room for {self.name}")
                if answer.status_code not in _ACCEPTED:
                    raise HostError(
                        f"{self.name} cannot be written: the host answers HTTP {answer.status_code}"
                    )
        except RestoriumError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever writes must not wait for ever
            self._fail(HostError(f"{self.name} cannot be written: {error}"))

    def _fail(self, error: RestoriumError) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _content(self) -> Iterator[bytes]:
        for extent in self._extents:
            yield from self._zeros(extent.end) if extent.hole else self._written(extent.end)
        yield from self._zeros(self._file_size)

    def _zeros(self, end: int) -> Iterator[bytes]:
        """Up to there, which is where the next data begins."""
        while self._next < end:
            part = bytes(min(_PART_BYTES, end - self._next))
            self._advance(len(part))
            yield part

    def _written(self, end: int) -> Iterator[bytes]:
        while self._next < end:
            with self._changed:
                self._changed.wait_for(lambda: self._failure or self._closed or self._next in self._waiting)
                self._check()
                if self._next not in self._waiting:
                    raise HostError(
                        f"{self.name}: bytes from {self._next} were never written", hint="Restore again."
                    )
                part = self._waiting.pop(self._next)
                self._waiting_bytes -= len(part)
            self._advance(len(part))
            yield part

    def _advance(self, count: int) -> None:
        with self._changed:
            self._next += count
            self._changed.notify_all()
