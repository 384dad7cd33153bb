"""Small objects that are sealed whole: manifests and marks. Each opens under its own name in its vault alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from restorium.vault.keys import RandomBytes

_HEADER = struct.Struct("<8sH6x32s")
_VERSION = 1
_SALT_BYTES = 32
# The cipher is the object's own, and encrypts nothing else.
_NONCE = bytes(12)

CipherOf = Callable[[bytes], AESGCM]
"""The cipher of the object with that salt."""


def seal(
    magic: bytes, cipher_of: CipherOf, vault_id: UUID, name: str, body: bytes, random_bytes: RandomBytes
) -> bytes:
    """``body`` as an object. ``magic``: 8 bytes that tell its kind."""
    salt = random_bytes(_SALT_BYTES)
    header = _HEADER.pack(magic, _VERSION, salt)
    return header + cipher_of(salt).encrypt(_NONCE, body, _context(header, vault_id, name))


def open_sealed(magic: bytes, cipher_of: CipherOf, vault_id: UUID, name: str, content: bytes) -> bytes:
    """The body. Raises ValueError unless this very object was sealed under this name in this vault."""
    header, sealed = content[: _HEADER.size], content[_HEADER.size :]
    try:
        found, version, salt = _HEADER.unpack(header)
        if (found, version) != (magic, _VERSION):
            raise ValueError("of another kind or version")
        return cipher_of(salt).decrypt(_NONCE, sealed, _context(header, vault_id, name))
    except (InvalidTag, struct.error) as error:
        raise ValueError("damaged or not its own") from error


def _context(header: bytes, vault_id: UUID, name: str) -> bytes:
    return header + vault_id.bytes + name.encode()
