"""The address by which a client calls this server: what every Href begins with.

A client takes the address that it was configured with from the beginning of each Href, so this is the Host header to
the letter. Since links lead where they say, a Host that is no name of this server is refused. A proxy's headers are
believed only from the addresses that the settings name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address

from restorium.settings import HttpSettings
from restorium.vocabulary.errors import InvalidInput

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII)

_LONGEST_ADDRESS = 45


class Origin:
    """Tells the address of ``/api`` from a request."""

    def __init__(self, settings: HttpSettings, server_name: str | None) -> None:
        own = {
            "localhost",
            socket.gethostname(),
            socket.getfqdn(),
            server_name or "",
            *settings.allowed_hosts,
        }
        self._names = {name.lower().rstrip(".") for name in own if name}
        self._proxies = set(settings.trusted_proxies)

    def base(self, headers: Mapping[str, str], scheme: str, address: str, server: tuple[str, int]) -> str:
        """``https://HOST:PORT/api``.

        headers: by lower-case name. address: the client's. server: the socket's own, for a request without Host.
        Raises InvalidInput for a name that is none of this server's.
        """
        host = headers.get("host")
        if address in self._proxies:
            scheme = _first(headers.get("x-forwarded-proto")) or scheme
            host = _first(headers.get("x-forwarded-host")) or host
        if not host:
            name, port = server
            host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        if scheme not in ("http", "https") or not self._is_own(host):
            raise InvalidInput(
                f"{host!r} is not a name of this server", hint="Add it to the setting http.allowed_hosts."
            )
        return f"{scheme}://{host}/api"

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        return name in self._names or _is_address(name)


def _first(value: str | None) -> str | None:
    return None if value is None else value.partition(",")[0].strip()


def _is_address(name: str) -> bool:
    return len(name) <= _LONGEST_ADDRESS and _parses(name)


@lru_cache(256)
def _parses(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
