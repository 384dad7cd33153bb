"""Which certificates of a host are trusted, decided before anything is sent to it."""

from __future__ import annotations

import hashlib
import socket
import ssl

from restorium.vocabulary.errors import HostError, InvalidInput

_DIGITS = hashlib.sha256().digest_size * 2


def normalised(thumbprint: str) -> str:
    """SHA-256 in lower-case hex, however it is grouped. Raises InvalidInput."""
    digits = thumbprint.translate({ord(each): None for each in ": -"}).lower()
    if len(digits) != _DIGITS or set(digits) - set("0123456789abcdef"):
        raise InvalidInput(
            "the thumbprint is no SHA-256 of a certificate",
            hint="Write its 64 hexadecimal digits, with or without colons.",
        )
    return digits


def trusting(host: str, port: int, thumbprint: str | None, *, timeout: float) -> ssl.SSLContext:
    """A context for connections to ``host``: whom this machine trusts, or the one certificate of that thumbprint.

    The certificate is looked at in a handshake that sends nothing else; every later handshake holds the host against
    it, its dates included. timeout: in seconds. Raises HostError, InvalidInput.
    """
    if thumbprint is None:
        return ssl.create_default_context()
    return _pinned(host, port, normalised(thumbprint), "sha256", timeout)


def vouched_for(host: str, port: int, thumbprint: str, *, timeout: float) -> ssl.SSLContext:
    """As ``trusting``, for a host whose SHA-1 another host told that is trusted: vSphere knows no other thumbprints."""
    digits = thumbprint.replace(":", "").lower()
    return _pinned(host, port, digits, "sha1", timeout)


def _pinned(host: str, port: int, digits: str, digest: str, timeout: float) -> ssl.SSLContext:
    certificate = _shown(host, port, timeout)
    found = hashlib.new(digest, certificate).hexdigest()
    if found != digits:
        raise HostError(
            f"the certificate of {host} is not the one with the thumbprint that was given, and nothing was sent",
            hint=f"Its thumbprint is {found} now. Give that one if it is known to be the host's.",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is this certificate and no other, whatever name it bears
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    return context


def untrusted(host: str, reason: object) -> HostError:
    """Of a handshake that the host's certificate ended."""
    return HostError(
        f"the certificate of {host} is not trusted, and nothing was sent: {reason}",
        hint="Give the thumbprint of its certificate, or have it signed by an authority that this machine trusts.",
    )


def _shown(host: str, port: int, timeout: float) -> bytes:
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout) as plain,
            looking.wrap_socket(plain, server_hostname=host) as shown,
        ):
            certificate = shown.getpeercert(binary_form=True)
    except OSError as error:
        raise HostError(
            f"{host} cannot be reached on port {port}: {error.strerror or error}",
            hint="Check the address, and that the host runs.",
        ) from error
    if certificate is None:
        raise HostError(f"{host} shows no certificate")
    return certificate
