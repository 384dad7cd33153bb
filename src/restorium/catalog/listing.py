"""Listings: the one way in which rows are read for an API, by id, by page, or all of them in a stream.

Order: text without regard to case, enumerations by place, rows without a value first when ascending. It
always ends in the id, in the direction of the last named column, so that the order is total and a page is the
same each time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.filters import AllOf, AnyOf, Compare, Filter, Special, condition, folding
from restorium.catalog.prepared import Prepared
from restorium.catalog.rows import Row
from restorium.catalog.types import Exact
from restorium.catalog.visibility import ACCOUNT, Visibility
from restorium.vocabulary.errors import InvalidFilter

__all__ = ["AllOf", "AnyOf", "Compare", "Filter", "Listing", "Order", "Row", "Visibility"]

Order = Sequence[tuple[str, bool]]
"""Columns to sort by, each with whether it descends."""

_CHUNK = 1000


class Listing:
    """Rows of one kind, each with its own columns and the ids and names of its parents.

    columns: what rows have, by name; ``id`` is the key. source: the tables, joined.
    cut: the condition under which the account bound to ``visibility.ACCOUNT`` sees a row; None where all may.
    special: columns that are filtered in a way of their own.
    """

    def __init__(
        self,
        columns: Mapping[str, sa.ColumnElement[Any]],
        source: sa.FromClause,
        *,
        cut: sa.ColumnElement[bool] | None = None,
        special: Mapping[str, Special] | None = None,
    ) -> None:
        self.columns = columns
        self._source = source
        self._cut = cut
        self._special = special or {}

    def one(self, connection: Connection, key: UUID | str, visible: Visibility) -> Row | None:
        """The row of that id; None if there is none or ``visible`` hides it."""
        prepared = self._one if self._whole(visible) else self._one_cut
        return prepared.one_or_none(connection, self._parameters(visible) | {"key": key})

    def page(
        self,
        connection: Connection,
        *,
        where: Filter | None = None,
        order: Order = (),
        limit: int | None = None,
        offset: int = 0,
        visible: Visibility,
    ) -> Sequence[Row]:
        """``limit`` rows (all if None) after the first ``offset``.

        Raises InvalidFilter for an unknown column.
        """
        statement = self._sorted(self._select(where, visible), order).limit(limit).offset(offset or None)
        return connection.execute(statement, self._parameters(visible)).all()

    def count(self, connection: Connection, *, where: Filter | None = None, visible: Visibility) -> int:
        """How many rows there are. Raises InvalidFilter for an unknown column."""
        statement = self._select(where, visible, [sa.func.count()])
        total: int = connection.execute(statement, self._parameters(visible)).scalar_one()
        return total

    def stream(
        self, connection: Connection, *, where: Filter | None = None, order: Order = (), visible: Visibility
    ) -> Iterator[Row]:
        """All rows, fetched a thousand at a time, so that memory does not grow with their number."""
        statement = self._sorted(self._select(where, visible), order)
        chunked = {"yield_per": _CHUNK}
        with connection.execute(statement, self._parameters(visible), execution_options=chunked) as result:
            yield from result

    @cached_property
    def _all(self) -> sa.Select[Any]:
        return sa.select(*(column.label(name) for name, column in self.columns.items())).select_from(
            self._source
        )

    @cached_property
    def _by_key(self) -> sa.Select[Any]:
        return self._all.where(self.columns["id"] == sa.bindparam("key", type_=self.columns["id"].type))

    @cached_property
    def _one(self) -> Prepared:
        return Prepared(self._by_key)

    @cached_property
    def _one_cut(self) -> Prepared:
        return self._one if self._cut is None else Prepared(self._by_key.where(self._cut))

    def _whole(self, visible: Visibility) -> bool:
        return self._cut is None or visible.account_id is None

    def _parameters(self, visible: Visibility) -> dict[str, Any]:
        return {} if self._whole(visible) else {ACCOUNT.key: visible.account_id}

    def _select(
        self, where: Filter | None, visible: Visibility, what: Sequence[Any] | None = None
    ) -> sa.Select[Any]:
        statement = self._all if what is None else sa.select(*what).select_from(self._source)
        if self._cut is not None and not self._whole(visible):
            statement = statement.where(self._cut)
        if where is not None:
            statement = statement.where(condition(where, self.columns, self._special))
        return statement

    def _sorted(self, statement: sa.Select[Any], order: Order) -> sa.Select[Any]:
        for name, descending in order:
            if name not in self.columns:
                raise InvalidFilter(f"there is no field {name!r} to sort by")
            statement = statement.order_by(_directed(self.columns[name], descending))
        descending = order[-1][1] if order else False
        key = self.columns["id"]
        # Databases order text each in its way; they agree on it once it is folded.
        keys = [sa.type_coerce(key, sa.Text), key] if isinstance(key.type, Exact) else [key]
        return statement.order_by(*(_directed(each, descending) for each in keys))


def columns_of(table: sa.Table, *, without: Container[str] = ()) -> dict[str, sa.ColumnElement[Any]]:
    """The table's own columns, by name, except those that no listing is to show."""
    return {column.name: column for column in table.columns if column.name not in without}


def optional(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A parent's column that an outer join may leave without a value."""
    return sa.type_coerce(column, column.type)


def _directed(column: sa.ColumnElement[Any], descending: bool) -> sa.ColumnElement[Any]:
    compared = folding(column)
    directed = compared.desc() if descending else compared.asc()
    if isinstance(column, sa.Column) and not column.nullable:
        return directed
    return directed.nulls_last() if descending else directed.nulls_first()
