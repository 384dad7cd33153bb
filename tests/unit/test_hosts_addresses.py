"""Addresses of hosts, as administrators and other hosts write them."""

from __future__ import annotations

import pytest

from restorium.hosts import kinds, open_host
from restorium.hosts.addresses import HttpsAddress, same_address
from restorium.hosts.interface import Login
from restorium.vocabulary.errors import InvalidInput

SECRET = "word-that-nobody-may-see"


def _parse(text: str) -> HttpsAddress:
    return HttpsAddress.parse(text, of="a test", hint="Write another.", port=8443, options=("speed",))


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("https://vc.example", "vc.example", 8443, "https://vc.example:8443"),
        ("https://VC.example:443/", "vc.example", 443, "https://vc.example"),
        ("https://[2001:db8::1]:9", "2001:db8::1", 9, "https://[2001:db8::1]:9"),
        ("https://vc.example?speed=2", "vc.example", 8443, "https://vc.example:8443"),
    ],
)
def test_address_is_read_and_written(text: str, host: str, port: int, url: str) -> None:
    found = _parse(text)
    assert (found.host, found.port, found.url) == (host, port, url)
    assert found.options == ({"speed": "2"} if "?" in text else {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vc.example",
        "http://vc.example",
        "https://",
        "https://[::1",
        "https://vc.example:0",
        "https://vc.example:99999",
        "https://vc.example:x",
        "https://vc.example/sdk",
        "https://vc.example#top",
        "https://vc.example?colour=red",
        "https://vc.example?speed",
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no address of a test") as refused:
        _parse(text)
    assert repr(text) in refused.value.message


@pytest.mark.parametrize(
    "kind", [name for name, kind in kinds().items() if kind.logon], ids=lambda kind: str(kind)
)
def test_password_in_an_address_is_refused_and_not_repeated(kind: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_host(kind, f"https://user:{SECRET}@host.example", Login("user", "other"))
    assert SECRET not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/srv/images", "/srv/images", True),
        ("/srv/images", "/srv/image", False),
        ("https://vc.example", "https://VC.example:443/", True),
        ("vc.example", "https://vc.example", True),
        ("https://vc.example:8443", "https://vc.example", False),
        ("https://vc.example", "https://vc.example:99999", False),
        ("qemu:///system", "https://vc.example", False),
    ],
)
def test_addresses_are_compared_by_what_they_mean(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same
    assert same_address(other, one) is same
