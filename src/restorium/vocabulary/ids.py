"""Identifiers as the Enterprise Manager API writes them: bare GUIDs in paths, urns in documents."""

from __future__ import annotations

import re
from uuid import UUID

from restorium.vocabulary.errors import InvalidIdentifier

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URN = re.compile(r"urn:veeam:([A-Za-z]+):(.+)", re.IGNORECASE)


def parse_guid(text: str) -> UUID:
    """Read a hyphenated GUID in either case. Raises InvalidIdentifier for anything else, braces included."""
    if not _GUID.fullmatch(text):
        raise InvalidIdentifier(f"{text!r} is not a GUID")
    return UUID(text)


def urn(kind: str, key: UUID | str) -> str:
    """``urn:veeam:<kind>:<guid>``, the UID member of every entity; some have a name in place of the GUID."""
    return f"urn:veeam:{kind}:{key}"


def parse_uid(text: str, kind: str | None = None) -> UUID:
    """Read a UID urn, or a bare GUID, which clients also send.

    Raises InvalidIdentifier; checks ``kind`` if given.
    """
    match = _URN.fullmatch(text)
    if match is None:
        return parse_guid(text)
    if kind is not None and match[1].lower() != kind.lower():
        raise InvalidIdentifier(f"{text!r} names a {match[1]}, not a {kind}")
    return parse_guid(match[2])
