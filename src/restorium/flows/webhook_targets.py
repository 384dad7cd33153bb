"""Where webhooks may lead: the addresses behind a name are looked up once, and one that is allowed is connected to.

So a name that leads elsewhere the next moment gains nothing, and no webhook reaches what only this machine reaches.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from restorium.vocabulary.errors import InvalidInput

Targets = Literal["public", "network", "any"]
Address = IPv4Address | IPv6Address

_MOST_CHARACTERS = 2048
_PORTS = {"http": 80, "https": 443}
_NAT64 = ip_network("64:ff9b::/96")
_OWN = (
    ip_network("0.0.0.0/8"),
    ip_network("100.100.100.200/32"),
    ip_network("168.63.129.16/32"),
    ip_network("fd00:ec2::254/128"),
    ip_network("fd20:ce::254/128"),
)
"""What a machine alone reaches: itself, and the services at which clouds keep its secrets."""
_HINT = "The setting webhooks.targets says where receivers may be."


def read_url(text: str, targets: Targets) -> SplitResult:
    """The parts of a webhook's URL. Raises InvalidInput, also for an address that is not allowed."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InvalidInput("the URL cannot be read", hint="Write it as https://host/path.") from None
    sound = text.isascii() and text.isprintable() and " " not in text and len(text) <= _MOST_CHARACTERS
    if not sound or parts.scheme not in _PORTS or not parts.hostname or parts.fragment or port == 0:
        raise InvalidInput(
            "that is no URL to send to", hint="Write https://host/path, in ASCII and without a fragment."
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "the URL holds a user's name or password", hint="Receivers know this server by the signature."
        )
    literal = _literal(parts.hostname)
    if literal is not None:
        chosen([literal], parts.hostname, targets)
    return parts


async def resolve(parts: SplitResult, targets: Targets) -> str:
    """An address of the URL's host to connect to. Raises InvalidInput if none is allowed, OSError if there is none."""
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    literal = _literal(host)
    if literal is not None:
        return str(chosen([literal], host, targets))
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return str(chosen((ip_address(each[4][0]) for each in found), host, targets))


def chosen(addresses: Iterable[Address], host: str, targets: Targets) -> Address:
    """The first that is allowed. Raises InvalidInput."""
    refused = []
    for address in addresses:
        if _is_allowed(address, targets):
            return address
        refused.append(str(address))
    raise InvalidInput(f"{host} is at {', '.join(refused)}, where webhooks may not lead", hint=_HINT)


def _is_allowed(address: Address, targets: Targets) -> bool:
    if targets == "any":
        return True
    inner = _inner(address)
    if inner is not None:
        return _is_allowed(inner, targets)
    if targets == "public":
        return address.is_global and not address.is_multicast and not _is_own(address)
    return not _is_own(address)


def _is_own(address: Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or any(address in network for network in _OWN if network.version == address.version)
    )


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
