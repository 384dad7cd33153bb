"""A reader of evidence, written from docs/evidence.md alone: it shares no code with the program."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

PART = 1_048_576


def read(document: str, pem: str) -> dict[str, Any]:
    """The record of a document that the key in ``pem`` has signed. Raises InvalidSignature, AssertionError."""
    found = json.loads(document)
    assert set(found) == {"record", "signature"}
    record: dict[str, Any] = found["record"]
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.b64decode(found["signature"], validate=True), canonical(record))
    assert record["key"] == key_id(key)
    assert (record["format"], record["version"]) == ("restorium-evidence", 1)
    assert record["digests"] == {"algorithm": "blake3-tree", "part_bytes": PART}
    leaves = [blake3(canonical(disk)).digest() for disk in record["disks"]]
    assert record["merkle_root"] == (root(leaves).hex() if leaves else None)
    return record


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    both = root(leaves[:k]) + root(leaves[k:])
    return blake3(both, derive_key_context="restorium 2026-11 evidence tree node").digest()


def digest(content: bytes) -> str:
    parts = [content[at : at + PART] for at in range(0, len(content), PART)] or [b""]
    return root([blake3(part).digest() for part in parts]).hex()


def digest_of_raw(image: Path) -> str:
    return digest(image.read_bytes())
