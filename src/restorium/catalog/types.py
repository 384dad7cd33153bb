"""Column types that behave alike on SQLite and PostgreSQL.

Each gives SQLAlchemy the function that reads one value, instead of a method to be wrapped in one: lists of
a hundred thousand rows spend most of their time here. Instants and GUIDs repeat from row to row, so the last
few are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT = 4096

Reader = Callable[[Any], Any] | None


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970: both databases order it exactly."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        return _read_instant


class Guid(TypeDecorator[UUID]):
    """A UUID: PostgreSQL's own type, 32 hexadecimal digits in SQLite. Both order it alike."""

    impl = sa.Uuid
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        return _read_guid if dialect.name == "sqlite" else None


class Exact(TypeDecorator[str]):
    """Text that names something: compared as it is, where other text is compared without regard to case."""

    impl = sa.Text
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        return None


class Ordered(TypeDecorator[Any]):
    """A member of an enumeration, kept as its place in it, by which the API compares enumerations."""

    impl = sa.SmallInteger
    cache_ok = True

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__()
        self.enumeration = enumeration
        self._members = dict(enumerate(enumeration))
        self._places = {member: place for place, member in self._members.items()}
        self._by_name = {member.lower(): member for member in enumeration}

    def member(self, name: str) -> StrEnum | None:
        """The member of that name, written in any case; None if there is none."""
        return self._by_name.get(name.lower())

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> int | None:
        return None if value is None else self._places[self.enumeration(value)]

    def result_processor(self, dialect: Dialect, coltype: object) -> Reader:
        return self._members.get


def constant(member: StrEnum) -> sa.ColumnElement[Any]:
    """A column that has this member in every row."""
    return sa.literal(member, Ordered(type(member)))


@lru_cache(_KEPT)
def _read_instant(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND


@lru_cache(_KEPT)
def _read_guid(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)
