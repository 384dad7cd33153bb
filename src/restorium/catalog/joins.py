"""Joins that a statement can do without: each adds one row's columns to a row, and nobody asks for those."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators, visitors

from restorium.catalog.tables import backup_servers


def tables_of(*parts: sa.ClauseElement) -> set[sa.FromClause]:
    """The tables whose columns are in these expressions."""
    return {
        each.table
        for part in parts
        for each in visitors.iterate(part)
        if isinstance(each, sa.ColumnClause) and each.table is not None
    }


def trimmed(source: sa.FromClause, needed: Set[sa.FromClause]) -> sa.FromClause:
    """``source`` without the joined tables that are not ``needed`` and without which it has the same rows."""
    if not isinstance(source, sa.Join):
        return source
    if source.right not in needed and _keeps_rows(source):
        return trimmed(source.left, needed)
    on = source.onclause
    assert on is not None
    return trimmed(source.left, needed | tables_of(on)).join(source.right, on, isouter=source.isouter)


def _keeps_rows(join: sa.Join) -> bool:
    """Whether each row on the left has exactly one on the right, or an outer join's row of nothing."""
    if join.right is backup_servers:
        return True  # of which there is one
    on = join.onclause
    if not isinstance(on, sa.BinaryExpression) or on.operator is not operators.eq:
        return False
    key, far = (on.left, on.right) if on.left.table is join.right else (on.right, on.left)
    if not isinstance(join.right, sa.Table) or list(join.right.primary_key) != [key]:
        return False
    return join.isouter or (_refers(far, key) and far.table not in _outer(join.left))


def _refers(far: Any, key: Any) -> bool:
    return isinstance(far, sa.Column) and not far.nullable and far.references(key)


def _outer(source: sa.FromClause) -> set[sa.FromClause]:
    """The tables that may be without a row."""
    if not isinstance(source, sa.Join):
        return set()
    return _outer(source.left) | ({source.right} if source.isouter else set())
