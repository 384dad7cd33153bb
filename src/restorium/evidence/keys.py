"""Ed25519 keys: one that signs, and those that check, each with the name that records give it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from restorium.vocabulary.errors import InvalidInput

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """32 bytes that check signatures."""

    raw: bytes

    @property
    def id(self) -> str:
        """SHA-256 of the key as SubjectPublicKeyInfo in DER, in hexadecimal digits."""
        return hashlib.sha256(
            self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()

    @property
    def pem(self) -> str:
        return self._key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        try:
            self._key().verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


class SigningKey:
    """32 secret bytes."""

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def secret(self) -> bytes:
        return self._key.private_bytes_raw()

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(content)


def read_public_keys(content: bytes, name: str) -> list[PublicKey]:
    """All keys in a PEM file called ``name``. Raises InvalidInput unless there are some and all are of Ed25519."""
    found = []
    for block in _PEM.finditer(content):
        try:
            key = load_pem_public_key(block.group())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidInput(f"{name} holds what is no public key: {error}", hint=_HINT) from None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidInput(f"{name} holds a public key that is not of Ed25519", hint=_HINT)
        found.append(PublicKey(key.public_bytes_raw()))
    if not found:
        raise InvalidInput(f"{name} holds no public key", hint=_HINT)
    return found


_HINT = "Name a PEM file as `restorium evidence key` writes it."
