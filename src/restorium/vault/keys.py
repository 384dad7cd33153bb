"""Keys: what a person holds, what it unwraps, and what is derived from that."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from restorium.vocabulary.errors import InvalidInput, WrongKey

KEY_BYTES = 32
_MOST_KEY_FILE_BYTES = 1 << 20
_CONTEXT = "restorium 2026-11 vault v1 "

RandomBytes = Callable[[int], bytes]
"""So many unguessable bytes; never the same twice."""


class KeyKind(StrEnum):
    PASSPHRASE = "passphrase"  # noqa: S105
    FILE = "key-file"


@dataclass(frozen=True, slots=True)
class Key:
    """Opens a vault. A passphrase is stretched before use; a key file's content must be random already.

    Raises InvalidInput if the passphrase is empty or the content shorter than 32 bytes or longer than 1 MiB.
    """

    kind: KeyKind
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.kind is KeyKind.PASSPHRASE and not self.secret:
            raise InvalidInput("the passphrase is empty", hint="Choose a passphrase of several words.")
        if self.kind is KeyKind.FILE and not KEY_BYTES <= len(self.secret) <= _MOST_KEY_FILE_BYTES:
            raise InvalidInput(
                f"a key file of {len(self.secret)} bytes, not {KEY_BYTES} to {_MOST_KEY_FILE_BYTES}",
                hint=f"Make one with: head -c {KEY_BYTES} /dev/urandom > key",
            )

    @classmethod
    def passphrase(cls, text: str) -> Key:
        """The same key however the machine composes accented letters."""
        return cls(KeyKind.PASSPHRASE, unicodedata.normalize("NFC", text).encode())

    @classmethod
    def file(cls, path: Path) -> Key:
        """The content of the file, every byte of it."""
        try:
            with path.open("rb") as file:
                return cls.raw(file.read(_MOST_KEY_FILE_BYTES + 1))
        except OSError as error:
            raise InvalidInput(
                f"the key file {path} cannot be read: {error.strerror}", hint="Check the path."
            ) from error

    @classmethod
    def raw(cls, content: bytes) -> Key:
        """A key file's content."""
        return cls(KeyKind.FILE, content)

    def to_bytes(self) -> bytes:
        """The secret itself, for whoever keeps it sealed; ``from_bytes`` reads it."""
        return self.kind.encode() + b"\0" + self.secret

    @classmethod
    def from_bytes(cls, stored: bytes) -> Key:
        """What ``to_bytes`` gave. Raises WrongKey for anything else."""
        kind, _, secret = stored.partition(b"\0")
        if kind not in {known.encode() for known in KeyKind}:
            raise WrongKey("the stored key is of no known kind")
        return cls(KeyKind(kind.decode()), secret)


def derive(purpose: str, material: bytes) -> bytes:
    """32 bytes for one purpose, from which ``material`` and other purposes' keys cannot be told."""
    return blake3(material, derive_key_context=_CONTEXT + purpose).digest()


class Keyring:
    """The keys of an opened vault, each derived from its master key for one purpose alone."""

    __slots__ = ("_config", "_data", "_manifests", "_marks", "_packs", "_tables")

    def __init__(self, master: bytes) -> None:
        self._data = derive("chunk id, data", master)
        self._tables = derive("chunk id, table", master)
        self._packs = derive("packs", master)
        self._manifests = derive("manifests", master)
        self._marks = derive("marks", master)
        self._config = derive("config", master)

    def data_id(self, chunk: bytes | memoryview) -> bytes:
        """The id of a piece of a disk, 32 bytes."""
        return blake3(chunk, key=self._data).digest()

    def table_id(self, chunk: bytes | bytearray) -> bytes:
        """The id of a piece of a disk table, 32 bytes; never that of a piece of a disk."""
        return blake3(chunk, key=self._tables).digest()

    def pack_cipher(self, pack_id: bytes) -> AESGCM:
        """Encrypts one pack alone, so that numbering its records makes nonces unique."""
        return AESGCM(blake3(pack_id, key=self._packs).digest())

    def manifest_cipher(self, salt: bytes) -> AESGCM:
        """Encrypts one manifest alone."""
        return AESGCM(blake3(salt, key=self._manifests).digest())

    def mark_cipher(self, salt: bytes) -> AESGCM:
        """Encrypts one object of marks alone."""
        return AESGCM(blake3(salt, key=self._marks).digest())

    def config_tag(self, content: bytes) -> bytes:
        """Authenticates the vault's configuration, 32 bytes."""
        return blake3(content, key=self._config).digest()
