"""Manifests: one object a restore point, written last, that makes it exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from restorium.vault import sealed
from restorium.vault.keys import Keyring, RandomBytes
from restorium.vault.storage import Storage, StoredObject
from restorium.vault.tables import DiskRecord
from restorium.vocabulary.errors import DataCorrupt, InvalidInput

_MAGIC = b"RSTMPOIN"
_POINTS, _INTENTS = "points", "intents"
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class PointDescription:
    """What a restore point is of. ``vm`` is JSON of the caller's own shape; ``created`` is aware.

    locked_until: when it may be deleted at the earliest, as the vault set it.
    """

    vm: Mapping[str, Any]
    created: datetime
    disks: tuple[DiskRecord, ...]
    locked_until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        locked = {} if self.locked_until is None else {"locked_until": self.locked_until.isoformat()}
        return {
            "vm": dict(self.vm),
            "created": self.created.isoformat(),
            "disks": [disk.to_json() for disk in self.disks],
        } | locked

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PointDescription:
        """What ``to_json`` gave. Raises ValueError, KeyError or TypeError for anything else."""
        disks = tuple(DiskRecord.from_json(disk) for disk in value["disks"])
        locked = value.get("locked_until")
        return cls(
            dict(value["vm"]),
            datetime.fromisoformat(value["created"]),
            disks,
            None if locked is None else datetime.fromisoformat(locked),
        )


def new_name(created: datetime, random_bytes: RandomBytes) -> str:
    """A point's name: sorts by time and is never given twice."""
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes(16).hex()}"


def object_name(name: str) -> str:
    """The object that holds the manifest. Raises InvalidInput for what is no point's name."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not the name of a restore point in a vault")
    return f"{_POINTS}/{name}"


def intent_name(name: str) -> str:
    """The object that holds the same manifest before its point exists."""
    return object_name(name).replace(_POINTS, _INTENTS, 1)


def listed(storage: Storage, *, intents: bool = False) -> Iterator[tuple[str, StoredObject]]:
    """Names of all points, or intents of some, with their objects, in no order."""
    folder = _INTENTS if intents else _POINTS
    for found in storage.list(folder):
        name = found.name.removeprefix(f"{folder}/")
        if _NAME.fullmatch(name):
            yield name, found


def seal(
    keyring: Keyring, vault_id: UUID, name: str, description: PointDescription, random_bytes: RandomBytes
) -> bytes:
    """The manifest as an object, which opens under this name in this vault alone."""
    body = json.dumps(description.to_json(), separators=(",", ":")).encode()
    return sealed.seal(_MAGIC, keyring.manifest_cipher, vault_id, name, body, random_bytes)


def open_sealed(keyring: Keyring, vault_id: UUID, name: str, content: bytes) -> PointDescription:
    """Raises DataCorrupt unless this very object was sealed under this name in this vault."""
    try:
        body = sealed.open_sealed(_MAGIC, keyring.manifest_cipher, vault_id, name, content)
        return PointDescription.from_json(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise DataCorrupt(f"the manifest of restore point {name} is damaged or not its own") from error
