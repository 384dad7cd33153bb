"""Evidence of restores, and the public keys that it is checked with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from restorium.catalog.listing import Row
from restorium.evidence import PublicKey
from restorium.flows import evidence as flows
from restorium.native.exchange import Items
from restorium.native.operation import Call, Operation
from restorium.native.roles import ADMINISTRATORS, EVERYONE


class Evidence(msgspec.Struct):
    """A signed record, as docs/evidence.md has it: ``signature`` is Base64 over the canonical form of ``record``."""

    record: dict[str, Any]
    signature: str


class EvidenceKey(msgspec.Struct):
    """``id`` is what records name it by, ``public_key`` is PEM. One that is not retired signs."""

    id: str
    algorithm: str
    public_key: str
    created_at: datetime
    retired_at: datetime | None


def _get(call: Call) -> Evidence:
    """The signed record of a restore that has ended."""
    return msgspec.json.decode(flows.document_of(call.engine, call.id, call.visible), type=Evidence)


def _key(call: Call) -> EvidenceKey:
    """The key that signs."""
    return _shown(flows.keys(call.engine)[0])


def _keys(call: Call) -> Items[EvidenceKey]:
    """All keys that ever signed, the one that does first."""
    return Items([_shown(row) for row in flows.keys(call.engine)])


def _rotate(call: Call) -> EvidenceKey:
    """Sign with a new key from now on."""
    return _shown(flows.rotate(call.engine))


def _shown(row: Row) -> EvidenceKey:
    key = PublicKey(row.public_key)
    return EvidenceKey(key.id, "Ed25519", key.pem, row.created_at, row.retired_at)


OPERATIONS = (
    Operation("GET", "/restore-sessions/{id}/evidence", _get, EVERYONE),
    Operation("GET", "/evidence/key", _key, EVERYONE),
    Operation("GET", "/evidence/keys", _keys, EVERYONE),
    Operation("POST", "/evidence/keys", _rotate, ADMINISTRATORS, status=201),
)
