"""PowerShell on a host, over WinRM with TLS.

The certificate is verified, or held against a thumbprint, before anything is sent. The account is proven by Negotiate,
which shows the host no password. One runspace does one pipeline at a time; one that was lost is opened anew.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from pypsrp.exceptions import AuthenticationError, WinRMError, WinRMTransportError, WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.serializer import TaggedValue
from pypsrp.wsman import WSMan
from requests.adapters import HTTPAdapter

from restorium.hosts.hyperv.address import Address
from restorium.hosts.hyperv.pipelines import Pipeline
from restorium.hosts.interface import Login
from restorium.vocabulary.errors import HostError

_CONNECT_SECONDS = 15
_INT32 = 1 << 31
_ANSWER_SECONDS = 20
"""For so long the host may be silent about one pipeline before it says that it is still at work."""


class Connection:
    """A host that is asked for something for the first time when it is needed. Used by several threads."""

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login
        self._pool: RunspacePool | None = None
        self._lock = threading.Lock()

    def ask(self, pipeline: Pipeline) -> list[dict[str, Any]]:
        """The objects that the pipeline's JSON tells of. Raises HostError."""
        with self._lock, self._explained(pipeline):
            shell = self._begun(pipeline)
            try:
                output = shell.end_invoke()
            except (requests.RequestException, WinRMError):
                self._forget()
                if pipeline.changes:
                    raise
                shell = self._begun(pipeline)
                output = shell.end_invoke()
        if shell.had_errors or shell.streams.error:
            reason = "; ".join(str(error) for error in shell.streams.error) or "PowerShell gives no reason"
            raise HostError(
                f"{self._address.host} cannot {pipeline.what}: {reason}",
                hint="Look at the VM and the account's rights in the Hyper-V Manager of the host.",
            )
        found: list[dict[str, Any]] = []
        for each in output:
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
        with self._lock:
            self._forget()

    def _begun(self, pipeline: Pipeline) -> PowerShell:
        """A shell whose pipeline the host has taken. What a lost runspace refuses has not run, and is sent again."""
        known = self._pool is not None
        try:
            return self._sent(pipeline)
        except WSManFaultError:
            self._forget()
            if not known:
                raise
        except (requests.RequestException, WinRMError):
            self._forget()
            if not known or pipeline.changes:
                raise
        return self._sent(pipeline)

    def _sent(self, pipeline: Pipeline) -> PowerShell:
        if self._pool is None:
            self._pool = RunspacePool(self._wsman())
            self._pool.open()
        shell = PowerShell(self._pool)
        for command in pipeline.commands:
            if command.is_script:
                shell.add_script(command.name)
            else:
                shell.add_cmdlet(command.name)
            shell.add_parameters({name: _sized(value) for name, value in command.parameters.items()})
        shell.begin_invoke()
        return shell

    def _forget(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            with suppress(Exception):  # a host that is gone keeps nobody
                pool.close()
            pool.connection.close()

    def _wsman(self) -> WSMan:
        wsman = WSMan(
            self._address.host,
            port=self._address.winrm_port,
            username=self._login.username,
            password=self._login.password,
            ssl=True,
            auth="negotiate",
            cert_validation=self._login.thumbprint is None,
            connection_timeout=_CONNECT_SECONDS,
            operation_timeout=_ANSWER_SECONDS,
            read_timeout=_ANSWER_SECONDS + 10,
            no_proxy=True,
        )
        session = wsman.transport._build_session()  # nothing public lets it be made before the first request
        if self._login.thumbprint is None:
            session.verify = _trusted()
        else:
            session.mount("https://", _Pinned(self._login.thumbprint))
        wsman.transport.session = session
        return wsman

    @contextmanager
    def _explained(self, pipeline: Pipeline) -> Iterator[None]:
        """What the libraries raise becomes a HostError in words for people."""
        host = self._address.host
        try:
            yield
        except AuthenticationError as error:
            self._forget()
            raise HostError(
                f"{host} does not accept the account {self._login.username}",
                hint="Check user name and password; a local account is named HOST\\account.",
            ) from error
        except requests.exceptions.SSLError as error:
            self._forget()
            raise HostError(
                f"the certificate of {host} is not trusted, and nothing was sent: {_why(error)}",
                hint="Give the thumbprint of its certificate, or have it signed by an authority trusted here.",
            ) from error
        except requests.RequestException as error:
            self._forget()
            raise HostError(
                f"{host} cannot be reached over WinRM: {_why(error)}",
                hint=f"Check that the host runs and that WinRM listens with HTTPS on port {self._address.winrm_port}.",
            ) from error
        except WinRMTransportError as error:
            self._forget()
            raise HostError(
                f"{host} cannot {pipeline.what}: its WinRM answers HTTP {error.code}",
                hint="Check that the address is that of WinRM on a Hyper-V host.",
            ) from error
        except WinRMError as error:
            self._forget()
            raise HostError(f"{host} cannot {pipeline.what}: {error}") from error


class _Pinned(HTTPAdapter):
    """Connections to a host with the certificate of this SHA-256, and to no other."""

    def __init__(self, thumbprint: str) -> None:
        self._thumbprint = thumbprint
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._thumbprint)


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
