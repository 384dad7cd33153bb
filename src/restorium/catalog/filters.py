"""Filters as values, and the SQL conditions that they stand for. Every value is bound, none becomes part of
the text.

Text compares without regard to case, enumerations by their place, instants exactly. A column without a value
equals only None, differs from everything else, and is neither less nor greater than anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from restorium.catalog.text import fold, folded
from restorium.catalog.types import Exact, Guid, Instant, Ordered
from restorium.vocabulary.errors import InvalidFilter

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "contains"]
Value = str | int | bool | datetime | UUID | None
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Compare:
    """One column against one value of the column's own kind; enumerations also by their name, in any case.

    A column of text also against a text that it ``contains``.
    """

    column: str
    op: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: Sequence[Filter]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: Sequence[Filter]


Filter = Compare | AllOf | AnyOf
Special = Callable[[Compare], sa.ColumnElement[bool]]


def condition(
    part: Filter, columns: Mapping[str, sa.ColumnElement[Any]], special: Mapping[str, Special]
) -> sa.ColumnElement[bool]:
    """The condition that ``part`` stands for. ``special`` columns are compared in a way of their own.

    Raises InvalidFilter for a column that is not there and a value that is not of its kind.
    """
    if isinstance(part, AllOf):
        return sa.and_(sa.true(), *(condition(each, columns, special) for each in part.parts))
    if isinstance(part, AnyOf):
        return sa.or_(sa.false(), *(condition(each, columns, special) for each in part.parts))
    if part.column in special:
        return special[part.column](part)
    if part.column not in columns:
        raise InvalidFilter(f"there is no field {part.column!r} to filter by")
    return _comparison(columns[part.column], part)


def folding(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """``column`` as it is compared and sorted."""
    return folded(column) if isinstance(column.type, sa.Text) else column


def _comparison(column: sa.ColumnElement[Any], part: Compare) -> sa.ColumnElement[bool]:
    if part.value is None:
        return _with_nothing(column, part)
    compared = folding(column)
    value = _bound(column, part)
    match part.op:
        case "==":
            return compared == value
        case "!=":
            return sa.or_(compared != value, column.is_(None))
        case "<":
            return compared < value
        case "<=":
            return compared <= value
        case ">":
            return compared > value
        case ">=":
            return compared >= value
        case "contains":
            return _contains(compared, part)


def _contains(compared: sa.ColumnElement[Any], part: Compare) -> sa.ColumnElement[bool]:
    if not isinstance(part.value, str):
        raise InvalidFilter(f"{part.column} has no text that could contain {part.value!r}")
    return compared.contains(fold(part.value), autoescape=True)


def _with_nothing(column: sa.ColumnElement[Any], part: Compare) -> sa.ColumnElement[bool]:
    if part.op == "==":
        return column.is_(None)
    if part.op == "!=":
        return column.is_not(None)
    raise InvalidFilter(f"{part.column} cannot be compared with nothing by {part.op}")


def _bound(column: sa.ColumnElement[Any], part: Compare) -> sa.ColumnElement[Any]:
    kind = column.type
    value = _checked(kind, part.value)
    if value is None:
        raise InvalidFilter(f"{part.column} cannot be compared with {part.value!r}")
    wide = sa.BigInteger() if isinstance(kind, sa.Integer) else kind
    return folding(sa.bindparam(None, value, type_=wide, unique=True))


def _checked(kind: sa.types.TypeEngine[Any], value: Value) -> Value:
    """``value`` if it is one of ``kind``, in the form to bind; else None."""
    match kind, value:
        case Ordered(), str():
            return kind.member(value)
        case (Instant(), datetime(tzinfo=tz)) if tz is not None:
            return value
        case (Guid(), UUID()) | (sa.Boolean(), bool()):
            return value
        case (sa.Integer(), int()) if not isinstance(value, bool) and value in _INTEGERS:
            return value
        case (sa.Text() | Exact(), str()) if storable(value):
            return value
    return None


def storable(text: str) -> bool:
    """Whether both databases can hold ``text``: no NUL characters and no lone surrogates."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
