"""A vCenter Server or ESXi host: its SOAP interface by pyVmomi, and the files of its datastores over HTTPS.

The certificate is verified, or is the one of the thumbprint, before anything is sent. Objects are named by their
managed object id (moref), so that nothing of a session that ran out is kept.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from restorium.hosts.addresses import HttpsAddress, as_url
from restorium.hosts.interface import Login
from restorium.hosts.pinning import trusting, untrusted
from restorium.vocabulary.errors import HostError, InvalidInput

T = TypeVar("T")

CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 120.0
_TASK_SECONDS = 3600.0
_LOOK_SECONDS = 0.05
_MOST_LOOK_SECONDS = 1.0
_UNAUTHORISED = 401


@dataclass(frozen=True, slots=True)
class _Session:
    """content: what the service has, kept because to ask for it is a question of its own each time."""

    instance: Any
    content: Any
    files: httpx.Client


class Connection:
    """One logon, made when it is needed and made anew when it ran out. For any number of threads."""

    def __init__(self, address: str, login: Login) -> None:
        self.address = HttpsAddress.parse(
            as_url(address), of="a vCenter Server", hint="Write https://vcenter.example[:port]."
        )
        if login.username is None or login.password is None:
            raise InvalidInput("a vCenter Server needs a user name and a password", hint="Give both.")
        self._login = login
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def call(self, function: Callable[[Any], T]) -> T:
        """``function`` of the service content. It may be called twice, if the session ran out meanwhile.

        Raises HostError for what the libraries raise; faults of vSphere pass, for callers know them better.
        """
        session = self._logged_on()
        with explained(self.address):
            try:
                return function(session.content)
            except vim.fault.NotAuthenticated:
                self._forget(session)
        session = self._logged_on()
        with explained(self.address):
            return function(session.content)

    def object(self, kind: Any, moref: str) -> Any:
        """A managed object by its id; nothing is asked yet."""
        return kind(moref, self._logged_on().instance._stub)

    def task(self, start: Callable[[Any], Any], *, what: str) -> Any:
        """What the task that ``start`` begins gave. ``what`` is for the message of a failure. Raises HostError."""
        try:
            task = self.call(start)
            for _ in looks(_TASK_SECONDS):
                # Not the whole of ``info``, whose entity may be of a type that the library does not expect there.
                state = self.properties(task, "info.state")["info.state"]
                if state == vim.TaskInfo.State.success:
                    return self.properties(task, "info.result").get("info.result")
                if state == vim.TaskInfo.State.error:
                    raise self.properties(task, "info.error")["info.error"]
            raise HostError(f"{self.address.host} did not finish within an hour: {what}")
        except vmodl.MethodFault as fault:
            raise failed(self.address.host, what, fault) from fault

    def properties(self, managed: Any, *names: str) -> dict[str, Any]:
        """Of one object; those that it has not are left out. Raises ManagedObjectNotFound and other faults."""
        chosen = vmodl.query.PropertyCollector.FilterSpec(
            objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=managed)],
            propSet=[vmodl.query.PropertyCollector.PropertySpec(type=type(managed), pathSet=list(names))],
        )
        options = vmodl.query.PropertyCollector.RetrieveOptions()

        def ask(content: Any) -> list[Any]:
            return checked(content.propertyCollector.RetrievePropertiesEx([chosen], options).objects)

        return {each.name: each.val for found in self.call(ask) for each in found.propSet}

    def file_url(self, datacenter: str, datastore: str, path: str) -> str:
        """Of a file in a datastore. datacenter: its inventory path."""
        place = f"dcPath={quote(datacenter)}&dsName={quote(datastore)}"
        return f"/folder/{quote(path)}?{place}"

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: Iterator[bytes] | None = None,
    ) -> Iterator[httpx.Response]:
        """A request for a file, by the session of the SOAP interface. Its answer is read by the caller."""
        session = self._logged_on()
        for last in (False, True):
            sent = {**(headers or {}), "Cookie": session.instance._stub.cookie.partition(";")[0]}
            with (
                explained(self.address),
                session.files.stream(method, url, headers=sent, content=content) as answer,
            ):
                if answer.status_code != _UNAUTHORISED or last or content is not None:
                    yield answer
                    return
            self._forget(session)
            session = self._logged_on()

    def close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.files.close()
            with suppress(Exception):  # it is gone anyway
                Disconnect(session.instance)

    def _logged_on(self) -> _Session:
        with self._lock:
            if self._session is None:
                with explained(self.address):
                    self._session = self._log_on()
            return self._session

    def _log_on(self) -> _Session:
        host, port = self.address.host, self.address.port
        context = trusting(host, port, self._login.thumbprint, timeout=CONNECT_SECONDS)
        try:
            instance = SmartConnect(
                host=host,
                port=port,
                user=self._login.username,
                pwd=self._login.password,
                sslContext=context,
                httpConnectionTimeout=ANSWER_SECONDS,
            )
        except vim.fault.InvalidLogin:
            raise HostError(
                f"{host} does not let {self._login.username} in",
                hint="Check user name and password; vCenter names look like name@vsphere.local.",
            ) from None
        return _Session(instance, instance.RetrieveContent(), files_client(self.address, context))

    def _forget(self, session: _Session) -> None:
        """Its files stay open for those who are still reading."""
        with self._lock:
            if self._session is session:
                self._session = None


def looks(seconds: float) -> Iterator[None]:
    """A turn for each look at what is not ready yet, further and further apart, for so long."""
    deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(pause)
        pause = min(pause * 2, _MOST_LOOK_SECONDS)


@contextmanager
def explained(address: HttpsAddress) -> Iterator[None]:
    """Raises HostError for what libraries raise when a host cannot be reached or trusted."""
    host = address.host
    try:
        yield
    except ssl.SSLError as error:
        raise untrusted(host, error) from error
    except httpx.HTTPError as error:
        if isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE" in str(error):
            raise untrusted(host, error) from error
        raise HostError(f"{host} cannot be reached: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise HostError(
            f"{host} cannot be reached on port {address.port}: {error}",
            hint="Check the address, and that the host runs.",
        ) from error


def files_client(address: HttpsAddress, context: ssl.SSLContext) -> httpx.Client:
    """For files that a host gives and takes."""
    return httpx.Client(
        base_url=address.url,
        verify=context,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        trust_env=False,
    )


def checked(objects: Iterable[Any]) -> list[Any]:
    """What a property collector gave. Raises NotAuthenticated, which it may tell of single properties."""
    found = list(objects)
    for each in found:
        for missing in each.missingSet or ():
            if isinstance(missing.fault, vim.fault.NotAuthenticated):
                raise missing.fault
    return found


def failed(host: str, what: str, fault: Any) -> HostError:
    """A fault of vSphere in words: what was asked for, and what the server says."""
    said = getattr(fault, "localizedMessage", None) or getattr(fault, "msg", None)
    kind = type(fault).__name__.rpartition(".")[2]
    return HostError(
        f"{host} refuses: {what}: {said or kind}",
        hint="Look at the task in vCenter; the account may lack a privilege that docs/platforms.md names.",
    )
