"""Secrets at rest, repository keys among them: sealed with the master key, so a copy of the database opens none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from restorium.vocabulary.errors import WrongKey

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretBox:
    """Seals and opens small secrets with a 32-byte key kept in a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cipher = AESGCM(_load_or_make(path))

    def seal(self, owner: UUID, secret: bytes) -> bytes:
        """Nonce and ciphertext. ``owner`` is bound in: a secret moved to another row does not open."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, owner.bytes)

    def open(self, owner: UUID, sealed: bytes) -> bytes:
        """The secret.

        Raises WrongKey if it was sealed with another master key, for another owner, or changed.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.bytes)
        except (InvalidTag, ValueError):  # the latter for what is too short to have been sealed
            raise WrongKey(
                f"the secret of {owner} cannot be opened with {self._path}",
                hint=f"Put back the {self._path.name} that belongs to this database.",
            ) from None


def _load_or_make(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise WrongKey(
                f"{path} does not hold a master key of {_KEY_BYTES} bytes",
                hint=f"Put back the right {path.name}.",
            ) from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(_KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
