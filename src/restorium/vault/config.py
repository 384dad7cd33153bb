"""The ``config`` object: what a vault is, and the slots in which its master key lies wrapped.

It is JSON in the clear, since it must be read before there is a key, and authenticated by that key
afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from uuid import UUID

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from restorium.vault.keys import KEY_BYTES, Key, KeyKind, Keyring, RandomBytes, derive
from restorium.vocabulary.errors import Conflict, DataCorrupt, NotAVault, NotFound, Unsupported, WrongKey

FORMAT = "restorium-vault"
VERSION = 1
CHUNK_SIZE = 256 * 1024
_PROTECTED = "protected_days"
_NONCE_BYTES = 12
_SALT_BYTES = 16
_ITERATIONS, _LANES, _MEMORY_KIB = 3, 4, 64 * 1024
_MOST_ITERATIONS, _MOST_LANES, _MOST_MEMORY_KIB = 64, 64, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Config:
    vault_id: UUID
    chunk_size: int


@dataclass(frozen=True, slots=True)
class KeySlot:
    """One key that opens the vault. ``name``: 16 hexadecimal digits, its own for good."""

    name: str
    kind: KeyKind


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A configuration and the key that was in it."""

    content: bytes
    master: bytes
    slot: KeySlot
    """The one that opened."""

    @property
    def config(self) -> Config:
        document = json.loads(self.content)
        return Config(UUID(document["id"]), int(document["chunk_size"]))

    @property
    def slots(self) -> tuple[KeySlot, ...]:
        return tuple(_shown(slot) for slot in json.loads(self.content)["slots"])

    def keyring(self) -> Keyring:
        return Keyring(self.master)

    def with_key(self, key: Key, random_bytes: RandomBytes) -> bytes:
        """The configuration with one slot more."""
        document = json.loads(self.content)
        document["slots"].append(_wrap(key, self.master, random_bytes))
        return _sealed(document, self.master)

    def without(self, name: str) -> bytes:
        """The configuration without that slot. Raises NotFound, and Conflict for the last one."""
        document = json.loads(self.content)
        left = [slot for slot in document["slots"] if _shown(slot).name != name]
        if len(left) == len(document["slots"]):
            raise NotFound(f"there is no key {name}", hint="List the keys to see what there is.")
        if not left:
            raise Conflict(
                f"{name} is the last key, without which nobody could open the repository",
                hint="Add another first.",
            )
        return _sealed(document | {"slots": left}, self.master)

    def protecting(self, days: int) -> bytes:
        """The configuration with another window in which points may not be deleted."""
        return _sealed(json.loads(self.content) | {_PROTECTED: days}, self.master)

    def rotated(self, key: Key, random_bytes: RandomBytes) -> bytes:
        """The configuration with ``key`` in place of the one that opened it."""
        document = json.loads(self.content)
        document["slots"] = [
            _wrap(key, self.master, random_bytes) if _shown(slot) == self.slot else slot
            for slot in document["slots"]
        ]
        return _sealed(document, self.master)


def create(key: Key, random_bytes: RandomBytes) -> bytes:
    """The ``config`` of a new vault with one key slot. The id and the master key are drawn here."""
    master = random_bytes(KEY_BYTES)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "id": str(UUID(bytes=random_bytes(16), version=4)),
        "chunk_size": CHUNK_SIZE,
        "slots": [_wrap(key, master, random_bytes)],
    }
    return _sealed(document, master)


def unlock(content: bytes, key: Key, url: str) -> Unlocked:
    """Try the key on every slot of its kind.

    Raises NotAVault, Unsupported (a later format), WrongKey, and DataCorrupt if the document was changed.
    """
    document = _parse(content, url)
    found: Unlocked | None = None
    try:
        for slot in document["slots"]:
            if slot["kind"] == key.kind and (master := _unwrap(slot, key)) is not None:
                found = Unlocked(content, master, _shown(slot))
                break
        Config(UUID(document["id"]), int(document["chunk_size"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataCorrupt(f"the configuration of {url} is damaged: {error!r}") from error
    if found is None:
        raise WrongKey(f"the {key.kind} does not open {url}")
    if not is_intact(content, found.keyring()):
        raise DataCorrupt(f"the configuration of {url} was changed")
    return found


def protected_days(content: bytes) -> int:
    """For how many days a point may not be deleted."""
    return int(json.loads(content).get(_PROTECTED, 0))


def is_intact(content: bytes, keyring: Keyring) -> bool:
    """Whether the document is as whoever had the vault's key wrote it."""
    try:
        document = json.loads(content)
        return compare_digest(keyring.config_tag(_canonical(document)), bytes.fromhex(document["tag"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _sealed(document: dict[str, Any], master: bytes) -> bytes:
    document["tag"] = Keyring(master).config_tag(_canonical(document)).hex()
    return json.dumps(document, indent=1).encode()


def _shown(slot: Mapping[str, Any]) -> KeySlot:
    return KeySlot(str(slot["salt"])[:16], KeyKind(slot["kind"]))


def _parse(content: bytes, url: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotAVault(f"what {url} holds is no vault")
    if document.get("version") != VERSION:
        raise Unsupported(
            f"the vault at {url} has format version {document.get('version')}, this program reads {VERSION}",
            hint="Use a later release of Restorium.",
        )
    return document


def _canonical(document: Mapping[str, Any]) -> bytes:
    covered = {name: value for name, value in document.items() if name != "tag"}
    return json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()


def _wrap(key: Key, master: bytes, random_bytes: RandomBytes) -> dict[str, Any]:
    slot: dict[str, Any] = {"kind": str(key.kind), "salt": random_bytes(_SALT_BYTES).hex()}
    if key.kind is KeyKind.PASSPHRASE:
        slot |= {"iterations": _ITERATIONS, "lanes": _LANES, "memory_kib": _MEMORY_KIB}
    nonce = random_bytes(_NONCE_BYTES)
    sealed = AESGCM(_wrapping_key(slot, key)).encrypt(nonce, master, _slot_context(slot))
    return slot | {"nonce": nonce.hex(), "wrapped": sealed.hex()}


def _unwrap(slot: Mapping[str, Any], key: Key) -> bytes | None:
    cipher = AESGCM(_wrapping_key(slot, key))
    try:
        return cipher.decrypt(
            bytes.fromhex(slot["nonce"]), bytes.fromhex(slot["wrapped"]), _slot_context(slot)
        )
    except InvalidTag:
        return None


def _slot_context(slot: Mapping[str, Any]) -> bytes:
    return f"restorium key slot {slot['kind']}".encode()


def _wrapping_key(slot: Mapping[str, Any], key: Key) -> bytes:
    salt = bytes.fromhex(slot["salt"])
    if key.kind is KeyKind.FILE:
        return blake3(salt, key=derive("key file", key.secret)).digest()
    iterations, lanes, memory = int(slot["iterations"]), int(slot["lanes"]), int(slot["memory_kib"])
    # Whoever can write to the storage could ask for more than the machine has.
    if iterations > _MOST_ITERATIONS or lanes > _MOST_LANES or memory > _MOST_MEMORY_KIB:
        raise ValueError("the key derivation asks for too much")
    return Argon2id(
        salt=salt, length=KEY_BYTES, iterations=iterations, lanes=lanes, memory_cost=memory
    ).derive(key.secret)
