"""NFC leases: a vCenter Server holds a VM or a snapshot while its disks go over HTTPS as vmdk streams.

Where a datastore has no files of its own, as vSAN and vVols, this is the way in and out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from pyVmomi import vim, vmodl

from restorium.hosts.addresses import HTTPS_PORT, HttpsAddress
from restorium.hosts.pinning import trusting, vouched_for
from restorium.hosts.vsphere.connection import (
    CONNECT_SECONDS,
    Connection,
    explained,
    failed,
    files_client,
    looks,
)
from restorium.vocabulary.errors import HostError, RestoriumError

_log = structlog.get_logger(__name__)

_READY_SECONDS = 300.0
_HELD_SECONDS = 600.0
"""Longer than servers keep a lease that nobody renews."""
_HELD_LOOK_SECONDS = 2.0
RENEWAL_SECONDS = 30.0
"""A tenth of what servers wait; what they say of it is in units that differ."""
_SAME_HOST = ("*", "-", "")
_STREAM = "application/x-vnd.vmware-streamVmdk"


@dataclass(frozen=True, slots=True)
class Device:
    """A disk that the lease gives or takes. key: ends in its controller, bus number, a colon and its unit.

    thumbprint: SHA-1 of the certificate of the host in ``url``, as the server tells it; None if it does not.
    """

    key: str
    url: str
    thumbprint: str | None

    @property
    def address(self) -> HttpsAddress:
        parts = urlsplit(self.url)
        return HttpsAddress(parts.hostname or "", parts.port or HTTPS_PORT, {})


class Lease:
    """A lease that is ready. ``percent`` of it that is done is told to the server by whoever moves the data."""

    def __init__(self, connection: Connection, managed: Any, info: Any, closing: ExitStack) -> None:
        self.entity: str = info.entity._moId
        self.percent = 0
        self.disks = tuple(
            Device(each.key, each.url, each.sslThumbprint or None)
            for each in info.deviceUrl or ()
            if each.disk is None or each.disk
        )
        self._connection = connection
        self._managed = managed
        self._closing = closing
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewing.start()

    @contextmanager
    def download(self, device: Device) -> Iterator[Iterator[bytes]]:
        """The disk's stream, in parts as they come. Raises HostError."""
        with self._request("GET", device) as answer:
            if not answer.is_success:
                raise HostError(f"{device.key} cannot be read: the host answers HTTP {answer.status_code}")
            yield _explained(answer.iter_raw(), device.address)

    def upload(self, device: Device, length: int, content: Iterator[bytes]) -> int:
        """Send the disk's stream of ``length`` bytes; gives the status of the answer. Raises HostError."""
        headers = {"Content-Length": str(length), "Content-Type": _STREAM}
        with self._request("POST", device, headers, content) as answer:
            answer.read()
            return answer.status_code

    def end(self) -> None:
        """Renew no more."""
        self._over.set()
        self._renewing.join()

    def _renew(self) -> None:
        while not self._over.wait(RENEWAL_SECONDS):
            try:
                self._connection.call(lambda _: self._managed.HttpNfcLeaseProgress(percent=self.percent))
            except (vmodl.MethodFault, RestoriumError) as error:
                # Whoever moves the data will be told by the host that the lease is over; one renewal may fail.
                _log.warning("a lease could not be renewed", vm=self.entity, reason=str(error))

    @contextmanager
    def _request(
        self,
        method: str,
        device: Device,
        headers: Mapping[str, str] | None = None,
        content: Iterator[bytes] | None = None,
    ) -> Iterator[httpx.Response]:
        parts = urlsplit(device.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        address = device.address
        if address.host in _SAME_HOST or address.url == self._connection.address.url:
            with self._connection.request(method, path, headers=headers, content=content) as answer:
                yield answer
            return
        client = self._client(address, device.thumbprint)
        with (
            explained(address),
            client.stream(method, path, headers=dict(headers or {}), content=content) as answer,
        ):
            yield answer

    def _client(self, address: HttpsAddress, thumbprint: str | None) -> httpx.Client:
        """For another host, which is the one that the server vouches for, or one that this machine trusts."""
        with self._lock:
            if address.url not in self._clients:
                if thumbprint is None:
                    context = trusting(address.host, address.port, None, timeout=CONNECT_SECONDS)
                else:
                    context = vouched_for(address.host, address.port, thumbprint, timeout=CONNECT_SECONDS)
                client = files_client(address, context)
                self._clients[address.url] = self._closing.enter_context(client)
            return self._clients[address.url]


@contextmanager
def leased(
    connection: Connection, start: Callable[[Any], Any], *, what: str, importing: bool = False
) -> Iterator[Lease]:
    """The lease that ``start`` begins, when it is ready: completed after the block, aborted after a failure in it.

    importing: it is good only once it is completed. what: for messages. Raises HostError.
    """
    try:
        managed = _begun(connection, start, what)
        with ExitStack() as closing:
            try:
                lease = Lease(connection, managed, _ready(connection, managed, what), closing)
                try:
                    yield lease
                finally:
                    lease.end()
            except BaseException:
                with suppress(Exception):  # it ends by itself, only later
                    connection.call(lambda _: managed.HttpNfcLeaseAbort())
                raise
            try:
                connection.call(lambda _: managed.HttpNfcLeaseComplete())
            except (vmodl.MethodFault, HostError) as error:
                if importing:
                    raise
                _log.warning("a lease did not end well", what=what, reason=str(error))
    except vmodl.MethodFault as fault:
        raise failed(connection.address.host, what, fault) from fault


def _begun(connection: Connection, start: Callable[[Any], Any], what: str) -> Any:
    """A VM may still be held by the lease of a process that was killed, until the server gives that up."""
    deadline = time.monotonic() + _HELD_SECONDS
    while True:
        try:
            return connection.call(start)
        except (vim.fault.InvalidState, vim.fault.TaskInProgress, vim.fault.FileLocked) as fault:
            if isinstance(fault, vim.fault.InvalidPowerState) or time.monotonic() > deadline:
                raise
            _log.info("waiting for an earlier lease to end", what=what)
        time.sleep(_HELD_LOOK_SECONDS)


def _ready(connection: Connection, managed: Any, what: str) -> Any:
    """What a lease that is ready tells of itself."""
    for _ in looks(_READY_SECONDS):
        state = connection.properties(managed, "state").get("state")
        if state == vim.HttpNfcLease.State.ready:
            return connection.properties(managed, "info")["info"]
        if state not in (None, vim.HttpNfcLease.State.initializing):
            fault = connection.properties(managed, "error").get("error")
            raise failed(connection.address.host, what, fault)
    raise HostError(f"{connection.address.host} did not begin within {_READY_SECONDS:.0f} s: {what}")


def _explained(parts: Iterator[bytes], address: HttpsAddress) -> Iterator[bytes]:
    with explained(address):
        yield from parts
