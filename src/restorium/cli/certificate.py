"""The certificate that a server makes for itself at its first start."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from restorium.cli.data_folder import write_private

_VALID = timedelta(days=3650)
_CLOCK_SKEW = timedelta(hours=1)


def ensure_certificate(certificate: Path, key: Path, *, listen_host: str, now: datetime) -> None:
    """Make a self-signed P-256 certificate and its key (mode 0600) unless both files are there.

    It names localhost, this machine, the loopback addresses and ``listen_host``; clients trust it by
    being given the file. The key is written first: a crash in between leaves a pair that is made anew.
    """
    if certificate.exists() and key.exists():
        return
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:64])])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(_names(listen_host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    write_private(
        key,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
    write_private(certificate, signed.public_bytes(serialization.Encoding.PEM).decode())
    certificate.chmod(0o644)


def _names(listen_host: str) -> list[x509.GeneralName]:
    hosts = dict.fromkeys(["localhost", socket.gethostname(), "127.0.0.1", "::1", listen_host])
    return [_general_name(host) for host in hosts if host not in ("", "0.0.0.0", "::")]  # noqa: S104  compared only


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
