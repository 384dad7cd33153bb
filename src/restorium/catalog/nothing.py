"""Listings of what there is none of: they filter, sort and count like all others, and have no rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from restorium.catalog.listing import Listing
from restorium.catalog.types import Guid, Instant, Ordered

_KINDS: dict[type, Any] = {
    str: sa.Text(),
    int: sa.BigInteger(),
    bool: sa.Boolean(),
    datetime: Instant,
    UUID: Guid,
}


def listing(columns: Mapping[str, type]) -> Listing:
    """A listing of these columns, and of ``id`` and ``name``, by the Python types of their values."""
    typed = {"id": UUID, "name": str, **columns}
    source = (
        sa.select(*(sa.cast(sa.null(), _kind(kind)).label(name) for name, kind in typed.items()))
        .where(sa.false())
        .subquery("absent")
    )
    return Listing(dict(source.c.items()), source)


def _kind(kind: type) -> Any:
    return Ordered(kind) if issubclass(kind, StrEnum) else _KINDS[kind]
