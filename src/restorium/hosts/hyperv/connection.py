"""PowerShell on a host, over WinRM with TLS.

The certificate is verified, or held against a thumbprint, before anything is sent. The account is proven by Negotiate,
which shows the host no password. A runspace does one pipeline at a time; one that was lost is opened anew.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from pypsrp.exceptions import (
    AuthenticationError,
    WinRMError,
    WinRMTransportError,
    WSManFaultError,
)
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.serializer import TaggedValue
from pypsrp.wsman import WSMan
from requests.adapters import HTTPAdapter
from spnego.exceptions import SpnegoError

from restorium.hosts.hyperv.address import Address
from restorium.hosts.hyperv.pipelines import Pipeline
from restorium.hosts.interface import Login
from restorium.hosts.pinning import trusting, untrusted
from restorium.vocabulary.errors import HostError

_CONNECT_SECONDS = 15
_INT32 = 1 << 31
_ANSWER_SECONDS = 20
"""For so long the host may be silent about one pipeline before it says that it is still at work."""
_IDLE_SECONDS = 900
_AT_ONCE = 4
_FAILURES = (requests.RequestException, WinRMError, SpnegoError, OSError, ValueError)
"""What the libraries raise; ValueError is also that of JSON and XML."""


class Connection:
    """A host that is asked for something for the first time when it is needed.

    Used by several threads, up to four of them at once.
    """

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login
        self._idle: list[RunspacePool] = []
        self._at_once = threading.BoundedSemaphore(_AT_ONCE)

    def ask(self, pipeline: Pipeline) -> list[dict[str, Any]]:
        """The objects that the pipeline's JSON tells of. Raises HostError."""
        with self._at_once, self._explained(pipeline):
            shell = self._answered(pipeline)
            if shell.had_errors or shell.streams.error:
                reason = (
                    "; ".join(str(error) for error in shell.streams.error) or "PowerShell gives no reason"
                )
                raise HostError(
                    f"{self._address.host} cannot {pipeline.what}: {reason}",
                    hint="Look at the VM and the account's rights in the Hyper-V Manager of the host.",
                )
            found: list[dict[str, Any]] = []
            for each in shell.output:
                value = json.loads(str(each))
                found += value if isinstance(value, list) else [value]
            return found

    def ask_one(self, pipeline: Pipeline) -> dict[str, Any]:
        """Its first object. Raises HostError, also if there is none."""
        found = self.ask(pipeline)
        if not found:
            raise HostError(f"{self._address.host} cannot {pipeline.what}: PowerShell answers nothing")
        return found[0]

    def close(self) -> None:
        while self._idle:
            pool = self._idle.pop()
            with suppress(*_FAILURES):  # a host that is gone keeps nobody
                pool.close()
            pool.connection.close()

    def _answered(self, pipeline: Pipeline) -> PowerShell:
        """The pipeline, done. Once only, it is sent again if its runspace was lost and that does no harm."""
        pool = self._idle.pop() if self._idle else None
        if pool is not None:
            shell = None
            try:
                shell = _begun(pool, pipeline)
                return self._ended(pool, shell)
            except WSManFaultError:
                pool.connection.close()
                # A runspace that is gone has run nothing: the pipeline was never begun.
                if pipeline.changes and shell is not None:
                    raise
            except (requests.RequestException, WinRMError):
                pool.connection.close()
                if pipeline.changes:
                    raise
        pool = RunspacePool(self._wsman(), idle_timeout=_IDLE_SECONDS)
        try:
            pool.open()
            return self._ended(pool, _begun(pool, pipeline))
        except _FAILURES:
            pool.connection.close()
            raise

    def _ended(self, pool: RunspacePool, shell: PowerShell) -> PowerShell:
        shell.end_invoke()
        self._idle.append(pool)
        return shell

    def _wsman(self) -> WSMan:
        wsman = WSMan(
            self._address.host,
            port=self._address.winrm_port,
            username=self._login.username,
            password=self._login.password,
            ssl=True,
            auth="negotiate",
            connection_timeout=_CONNECT_SECONDS,
            operation_timeout=_ANSWER_SECONDS,
            read_timeout=_ANSWER_SECONDS + 10,
            no_proxy=True,
        )
        session = wsman.transport._build_session()  # nothing public lets it be made before the first request
        if self._login.thumbprint is None:
            session.verify = _trusted()
        else:
            context = trusting(
                self._address.host,
                self._address.winrm_port,
                self._login.thumbprint,
                timeout=_CONNECT_SECONDS,
            )
            session.mount("https://", _Pinned(context))
        wsman.transport.session = session
        return wsman

    @contextmanager
    def _explained(self, pipeline: Pipeline) -> Iterator[None]:
        """What the libraries raise becomes a HostError in words for people."""
        host = self._address.host
        try:
            yield
        except AuthenticationError as error:
            raise HostError(
                f"{host} does not accept the account {self._login.username}",
                hint="Check user name and password; a local account is named HOST\\account.",
            ) from error
        except requests.exceptions.SSLError as error:
            raise untrusted(host, _why(error)) from error
        except requests.RequestException as error:
            raise HostError(
                f"{host} cannot be reached over WinRM: {_why(error)}",
                hint=f"Check that the host runs and that WinRM listens with HTTPS on port {self._address.winrm_port}.",
            ) from error
        except WinRMTransportError as error:
            raise HostError(
                f"{host} cannot {pipeline.what}: its WinRM answers HTTP {error.code}",
                hint="Check that the address is that of WinRM on a Hyper-V host.",
            ) from error
        except _FAILURES as error:
            raise HostError(f"{host} cannot {pipeline.what}: {_why(error)}") from error


def _begun(pool: RunspacePool, pipeline: Pipeline) -> PowerShell:
    """A shell whose pipeline the host has taken."""
    shell = PowerShell(pool)
    for command in pipeline.commands:
        if command.is_script:
            shell.add_script(command.name)
        else:
            shell.add_cmdlet(command.name)
        shell.add_parameters({name: _sized(value) for name, value in command.parameters.items()})
    shell.begin_invoke()
    return shell


class _Pinned(HTTPAdapter):
    """Connections whose certificates the context decides on, and nobody else."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context, assert_hostname=False)

    def cert_verify(self, *arguments: Any) -> None:
        """Adds no authorities, as it would otherwise."""


def _sized(value: Any) -> Any:
    """Numbers that take 64 bits say so."""
    is_long = isinstance(value, int) and not isinstance(value, bool) and value >= _INT32
    return TaggedValue("I64", value) if is_long else value


def _trusted() -> str | bool:
    """The authorities that this machine trusts."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _why(error: BaseException) -> str:
    """The innermost reason, which says most."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (each for each in getattr(reason, "args", ()) if isinstance(each, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return str(reason.strerror if isinstance(reason, OSError) and reason.strerror else reason)
        reason = inner
