"""Manifests: one object a restore point, written last, that makes it exist."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag

from restorium.vault.keys import Keyring, RandomBytes
from restorium.vault.tables import DiskRecord
from restorium.vocabulary.errors import DataCorrupt, InvalidInput

_HEADER = struct.Struct("<8sH6x32s")
_MAGIC, _VERSION = b"RSTMPOIN", 1
_SALT_BYTES = 32
# The cipher is the manifest's own, and encrypts nothing else.
_NONCE = bytes(12)
_FOLDER = "points"
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class PointDescription:
    """What a restore point is of. ``vm`` is JSON of the caller's own shape; ``created`` is aware."""

    vm: Mapping[str, Any]
    created: datetime
    disks: tuple[DiskRecord, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "vm": dict(self.vm),
            "created": self.created.isoformat(),
            "disks": [disk.to_json() for disk in self.disks],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PointDescription:
        """What ``to_json`` gave. Raises ValueError, KeyError or TypeError for anything else."""
        disks = tuple(DiskRecord.from_json(disk) for disk in value["disks"])
        return cls(dict(value["vm"]), datetime.fromisoformat(value["created"]), disks)


def new_name(created: datetime, random_bytes: RandomBytes) -> str:
    """A point's name: sorts by time and is never given twice."""
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes(16).hex()}"


def object_name(name: str) -> str:
    """The object that holds the manifest. Raises InvalidInput for what is no point's name."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not the name of a restore point in a vault")
    return f"{_FOLDER}/{name}"


def parse_object_name(name: str) -> str | None:
    """The point's name, or None for an object that is no manifest."""
    folder, _, point = name.rpartition("/")
    return point if folder == _FOLDER and _NAME.fullmatch(point) else None


def seal(
    keyring: Keyring, vault_id: UUID, name: str, description: PointDescription, random_bytes: RandomBytes
) -> bytes:
    """The manifest as an object, which opens under this name in this vault alone."""
    salt = random_bytes(_SALT_BYTES)
    header = _HEADER.pack(_MAGIC, _VERSION, salt)
    body = json.dumps(description.to_json(), separators=(",", ":")).encode()
    return header + keyring.manifest_cipher(salt).encrypt(_NONCE, body, _context(header, vault_id, name))


def open_sealed(keyring: Keyring, vault_id: UUID, name: str, content: bytes) -> PointDescription:
    """Raises DataCorrupt unless this very object was sealed under this name in this vault."""
    header, sealed = content[: _HEADER.size], content[_HEADER.size :]
    try:
        magic, version, salt = _HEADER.unpack(header)
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("no manifest of a known version")
        body = keyring.manifest_cipher(salt).decrypt(_NONCE, sealed, _context(header, vault_id, name))
        return PointDescription.from_json(json.loads(body))
    except (InvalidTag, struct.error, ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(f"the manifest of restore point {name} is damaged or not its own") from error


def _context(header: bytes, vault_id: UUID, name: str) -> bytes:
    return header + vault_id.bytes + name.encode()
