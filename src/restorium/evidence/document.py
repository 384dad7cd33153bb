"""A record with its signature: making one, and checking one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from restorium.evidence.canonical import canonical, parse
from restorium.evidence.keys import PublicKey, SigningKey
from restorium.evidence.record import FORMAT, VERSION, Record, merkle_root
from restorium.vocabulary.errors import EvidenceRefused, Unsupported


def sign(record: Record, key: SigningKey) -> str:
    """The document, in canonical form. ``record.key`` is the id of the key's public half."""
    plain = msgspec.to_builtins(record)
    signature = base64.b64encode(key.sign(canonical(plain))).decode()
    return canonical({"record": plain, "signature": signature}).decode()


def check(document: bytes, keys: Sequence[PublicKey]) -> Record:
    """The record, if one of the keys signed it and it agrees with itself.

    Raises EvidenceRefused saying why not, and Unsupported for a record of a later version whose signature is right.
    """
    found = parse(document)
    if not isinstance(found, dict) or found.keys() != {"record", "signature"}:
        raise EvidenceRefused("the file is no evidence: it has other members than record and signature")
    plain, signature = found["record"], _decode(found["signature"])
    named = plain.get("key") if isinstance(plain, dict) else None
    key = next((key for key in keys if key.id == named), None)
    if key is None:
        raise EvidenceRefused(
            f"the record names the key {named}, which is none of those given",
            hint="Give the public key that the server showed at that time; one that others hand you proves nothing.",
        )
    if not key.verifies(signature, canonical(plain)):
        raise EvidenceRefused("the signature does not fit the record: one of them was changed")
    return _understood(plain)


def _understood(plain: dict[str, Any]) -> Record:
    if (plain.get("format"), plain.get("version")) != (FORMAT, VERSION):
        raise Unsupported(
            f"the record is {plain.get('format')} of version {plain.get('version')}; this release reads {VERSION}",
            hint="Use a later release of Restorium.",
        )
    try:
        record = msgspec.convert(plain, Record)
    except msgspec.ValidationError as error:
        raise EvidenceRefused(f"the record is signed, but is no record: {error}") from None
    if record.merkle_root != merkle_root(record.disks):
        raise EvidenceRefused("the record's Merkle root is not that of its disks")
    return record


def _decode(signature: Any) -> bytes:
    """Of the many ways to write bytes in Base64 only one counts."""
    try:
        decoded = base64.b64decode(signature, validate=True)
    except (binascii.Error, TypeError, ValueError):
        decoded = b""
    if base64.b64encode(decoded).decode() != signature:
        raise EvidenceRefused("the signature is not written in Base64")
    return decoded
