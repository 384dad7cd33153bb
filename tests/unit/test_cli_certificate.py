"""The certificate that a server makes for itself."""

import ipaddress
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from restorium.cli.certificate import ensure_certificate

_NOW = datetime.now(UTC)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "certificate.key"
    ensure_certificate(certificate, key, listen_host="192.0.2.7", now=_NOW)
    return certificate, key


def test_names_this_machine_the_loopback_and_the_address_listened_on(pair: tuple[Path, Path]) -> None:
    names = (
        x509.load_pem_x509_certificate(pair[0].read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert {"localhost", socket.gethostname()} <= set(names.get_values_for_type(x509.DNSName))
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        str(ipaddress.ip_address("::1")),
        "192.0.2.7",
    }


def test_only_the_owner_may_read_the_key(pair: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600


def test_is_made_once(pair: tuple[Path, Path]) -> None:
    before = pair[0].read_bytes(), pair[1].read_bytes()
    ensure_certificate(*pair, listen_host="127.0.0.1", now=_NOW)
    assert (pair[0].read_bytes(), pair[1].read_bytes()) == before


def test_half_a_pair_is_made_anew(pair: tuple[Path, Path]) -> None:
    pair[0].unlink()
    ensure_certificate(*pair, listen_host="127.0.0.1", now=_NOW)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_strict_client_that_trusts_the_file_accepts_the_server(pair: tuple[Path, Path], name: str) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*pair)
    client = ssl.create_default_context(cafile=pair[0])
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answering = threading.Thread(target=lambda: server.wrap_socket(theirs, server_side=True).close())
        answering.start()
        with client.wrap_socket(ours, server_hostname=name) as connection:
            assert connection.version() in ("TLSv1.2", "TLSv1.3")
        answering.join()
