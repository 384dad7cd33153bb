"""Hierarchy references, written by the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from restorium.catalog.tables import hosts
from restorium.catalog.text import guid_text
from restorium.vocabulary.hierarchy import Platform


def hierarchy_ref(
    kind: str, host_id: sa.ColumnElement[Any], ref: sa.ColumnElement[Any]
) -> sa.ColumnElement[str]:
    """``urn:<platform>:<kind>:<host>.<ref>`` of an object, in a statement that joins its host."""
    platform = sa.case(
        *((hosts.c.platform == each, sa.literal(str(each), sa.Text)) for each in Platform),
    )
    return sa.type_coerce(
        sa.literal("urn:", sa.Text)
        + platform
        + sa.literal(f":{kind}:", sa.Text)
        + guid_text(host_id)
        + sa.literal(".", sa.Text)
        + ref,
        sa.Text,
    )
