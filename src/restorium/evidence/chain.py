"""A log whose entries are chained by their hashes, and what is checked of it without a database.

The hash of an entry is SHA-256 over the hash of the one before it (32 zero bytes before the first) and its content,
JSON in canonical form that has the entry's number among its members. Numbers begin with 1 and leave out none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from restorium.evidence.canonical import canonical, parse
from restorium.vocabulary.errors import AuditBroken, EvidenceRefused

NOTHING = bytes(32)
"""What the first entry is chained to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``content`` as it was written, ``hash`` of 32 bytes."""

    number: int
    content: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many entries there are, and the hash of the last."""

    number: int
    hash: bytes


def link(previous: bytes, content: str) -> bytes:
    """The hash of an entry that follows the one whose hash is ``previous``."""
    return hashlib.sha256(previous + content.encode()).digest()


def check(entries: Iterable[Entry], noted: bytes | None = None) -> Head:
    """The head of the chain that the entries are, all of them in their order.

    noted: the hash of an entry, written down earlier, that the chain has to go through. Raises AuditBroken naming the
    first entry that does not fit.
    """
    head, passed = Head(0, NOTHING), noted in (None, NOTHING)
    for entry in entries:
        _check_place(head, entry)
        _check_content(entry)
        if link(head.hash, entry.content) != entry.hash:
            raise AuditBroken(
                f"entry {entry.number} does not fit the one before it: it was changed, or put in the place of another"
            )
        head = Head(entry.number, entry.hash)
        passed = passed or head.hash == noted
    if not passed and noted is not None:
        raise AuditBroken(
            f"no entry has the hash {noted.hex()}: the log was cut off before that entry, or written anew",
        )
    return head


def _check_place(head: Head, entry: Entry) -> None:
    due = head.number + 1
    if entry.number == due:
        return
    if entry.number > due:
        missing = f"entry {due} is" if entry.number == due + 1 else f"entries {due} to {entry.number - 1} are"
        raise AuditBroken(f"{missing} missing before entry {entry.number}")
    raise AuditBroken(f"entry {entry.number} stands where entry {due} should: it is there twice, or moved")


def _check_content(entry: Entry) -> None:
    try:
        content = parse(entry.content.encode())
        fits = isinstance(content, dict) and content.get("number") == entry.number
        fits = fits and canonical(content).decode() == entry.content
    except (EvidenceRefused, UnicodeEncodeError):
        fits = False
    if not fits:
        raise AuditBroken(f"the content of entry {entry.number} was changed")
