"""Column types that behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970: both databases order it exactly."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


class Ordered(TypeDecorator[Any]):
    """A member of an enumeration, kept as its place in it, by which the API compares enumerations."""

    impl = sa.SmallInteger
    cache_ok = True

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__()
        self.enumeration = enumeration
        self._members = tuple(enumeration)
        self._places = {member: place for place, member in enumerate(self._members)}
        self._by_name = {member.lower(): member for member in self._members}

    def member(self, name: str) -> StrEnum | None:
        """The member of that name, written in any case; None if there is none."""
        return self._by_name.get(name.lower())

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> int | None:
        return None if value is None else self._places[self.enumeration(value)]

    def process_result_value(self, value: int | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self._members[value]
