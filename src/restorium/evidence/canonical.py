"""The one way to write a JSON value as bytes, and the reading of JSON that has only one meaning.

That of RFC 8785 for the values that records are made of: no fractions, integers below 2^53, member names in ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from restorium.vocabulary.errors import EvidenceRefused

LARGEST = 2**53 - 1
"""The integers that every reader of JSON has exactly."""


def canonical(value: Any) -> bytes:
    """UTF-8 without blanks, members in order of their names. Raises EvidenceRefused for what it cannot hold."""
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EvidenceRefused("text that is no Unicode cannot be in evidence") from None


def parse(content: bytes) -> Any:
    """The JSON value that ``content`` is. Raises EvidenceRefused for fractions and for members named twice."""
    try:
        return json.loads(
            content.decode(), object_pairs_hook=_members, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise EvidenceRefused(f"the file is no JSON document: {error}") from None


def _check(value: Any) -> None:
    match value:
        case None | bool() | str():
            return
        case int() if abs(value) <= LARGEST:
            return
        case list():
            for each in value:
                _check(each)
        case dict():
            for name, each in value.items():
                if not isinstance(name, str) or not name.isascii():
                    raise EvidenceRefused(f"{name!r} cannot name a member of evidence")
                _check(each)
        case _:
            raise EvidenceRefused(f"{value!r} cannot be in evidence")


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise EvidenceRefused(f"the member {name!r} is there twice")
        found[name] = value
    return found


def _refuse(text: str) -> Any:
    raise EvidenceRefused(f"the number {text} cannot be in evidence")
