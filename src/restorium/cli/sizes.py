"""Sizes in bytes as people write and read them."""

from __future__ import annotations

import re

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.sizes import format_size

__all__ = ["format_size", "parse_size"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGTP])(i?)B?|B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """``500GB``, ``2TiB``, ``1.5 T`` or plain bytes; a unit with an i, or without a B, counts in 1024s."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is not a size", hint="Write it as 500GB, 2TiB or a number of bytes.")
    number, prefix, binary = match.groups()
    if prefix is None:
        return round(float(number))
    base = 1000 if not binary and text.strip().upper().endswith("B") else 1024
    factor: int = base ** ("KMGTP".index(prefix.upper()) + 1)
    return round(float(number) * factor)
