"""Listings: the one way in which rows are read for an API, by id, by page, or all of them in a stream.

Order: text without regard to case, enumerations by place, rows without a value first when ascending. It
always ends in the id, in the direction of the last named column, so that the order is total and a page is the
same each time.

Totals and places found in a snapshot are kept for the next page (``places``). A page is found by its ids first, from
as few tables as its filter and order need, and then read whole.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import GenericAlias
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import generations
from restorium.catalog.filters import AllOf, AnyOf, Compare, Filter, Special, condition, folding
from restorium.catalog.joins import tables_of, trimmed
from restorium.catalog.places import Places
from restorium.catalog.prepared import Prepared
from restorium.catalog.rows import Row
from restorium.catalog.surroundings import places
from restorium.catalog.types import Exact, Guid, Instant, Ordered
from restorium.catalog.visibility import Visibility
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
        if limit is None and not offset:
            return list(self.stream(connection, where=where, order=order, visible=visible))
        terms = self._terms(order)
        picked = self._picked(connection, self._choice(where, visible, order, terms), terms, limit, offset)
        return self._whole_rows(connection, picked)

    def following(
        self,
        connection: Connection,
        *,
        where: Filter | None = None,
        order: Order = (),
        after: Sequence[Any] | None = None,
        limit: int,
        visible: Visibility,
    ) -> tuple[Sequence[Row], Sequence[Any] | None]:
        """At most ``limit`` rows behind the place ``after`` (from the beginning if None), and the place of the last.

        A place is what a row is sorted by, as JSON; None if no row is behind it. It takes as long wherever the place
        is, and rows that come or go elsewhere in the list change nothing. Columns in ``order`` have values in all rows
        that pass ``where``, and all directions are the same. Raises InvalidFilter for an unknown column, and for a
        place that is none in this order.
        """
        terms = self._terms(order)
        choice = self._choice(where, visible, order, terms)
        statement = sa.select(*(term.compared for term in terms)).select_from(choice.source)
        statement = statement.where(*choice.conditions).order_by(*(term.directed for term in terms))
        if after is not None:
            statement = statement.where(_behind(terms, _read_place(terms, after)))
        picked = connection.execute(statement.limit(limit + 1), choice.parameters).all()
        found = self._whole_rows(connection, [row[-1] for row in picked[:limit]])
        return found, msgspec.to_builtins(tuple(picked[limit - 1])) if len(picked) > limit else None

    def count(self, connection: Connection, *, where: Filter | None = None, visible: Visibility) -> int:
        """How many rows there are. Raises InvalidFilter for an unknown column."""
        choice = self._choice(where, visible)
        known, generation = choice.kept(connection)
        total = None if known is None else known.total(choice.key, generation)
        if total is None:
            statement = sa.select(sa.func.count()).select_from(choice.source).where(*choice.conditions)
            total = int(connection.execute(statement, choice.parameters).scalar_one())
            if known is not None:
                known.note_total(choice.key, generation, total)
        return total

    def stream(
        self, connection: Connection, *, where: Filter | None = None, order: Order = (), visible: Visibility
    ) -> Iterator[Row]:
        """All rows, fetched a thousand at a time, so that memory does not grow with their number."""
        statement = self._all.where(*self._conditions(where, visible))
        statement = statement.order_by(*(term.directed for term in self._terms(order)))
        chunked = {"yield_per": _CHUNK}
        with connection.execute(statement, self._parameters(visible), execution_options=chunked) as result:
            yield from result

    def _whole_rows(self, connection: Connection, keys: Sequence[Any]) -> Sequence[Row]:
        """The rows of these ids, in their order."""
        found: dict[Any, Row] = {}
        for start in range(0, len(keys), _CHUNK):
            chosen = self._all.where(self.columns["id"].in_(keys[start : start + _CHUNK]))
            found |= {row.id: row for row in connection.execute(chosen)}
        return [found[key] for key in keys]

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
        return {} if self._whole(visible) else dict(visible.parameters)

    def _conditions(self, where: Filter | None, visible: Visibility) -> list[sa.ColumnElement[bool]]:
        found = []
        if where is not None:
            found.append(condition(where, self.columns, self._special))
        if self._cut is not None and not self._whole(visible):
            found.append(self._cut)
        return found

    def _terms(self, order: Order) -> list[_Term]:
        for name, _ in order:
            if name not in self.columns:
                raise InvalidFilter(f"there is no field {name!r} to sort by")
        terms = [_Term(self.columns[name], descending) for name, descending in order]
        key = _Term(self.columns["id"], order[-1][1] if order else False)
        if isinstance(key.column.type, Exact):
            # Databases order text each in its way; they agree on it once it is folded.
            terms.append(_Term(sa.type_coerce(key.column, sa.Text), key.descending))
        return [*terms, key]

    def _choice(
        self, where: Filter | None, visible: Visibility, order: Order = (), terms: Sequence[_Term] = ()
    ) -> _Choice:
        conditions = self._conditions(where, visible)
        source = trimmed(self._source, tables_of(*conditions, *(term.column for term in terms)))
        key = (self, _frozen(where), visible.account_id, tuple(order))
        return _Choice(key, source, conditions, [term.column for term in terms], self._parameters(visible))

    def _picked(
        self, connection: Connection, choice: _Choice, terms: Sequence[_Term], limit: int | None, offset: int
    ) -> Sequence[Any]:
        """The ids of a page, found from the nearest place before it that is known."""
        statement = sa.select(*(term.compared for term in terms)).select_from(choice.source)
        statement = statement.where(*choice.conditions).order_by(*(term.directed for term in terms))
        known, generation = choice.kept(connection)
        passed = offset
        if known is not None and _comparable(terms):
            place = known.before(choice.key, generation, offset)
            if place is not None:
                passed -= place[0]
                statement = statement.where(_from(terms, place[1]))
        rows = connection.execute(statement.limit(limit).offset(passed or None), choice.parameters).all()
        if known is not None and rows and _comparable(terms):
            known.note(choice.key, generation, offset, tuple(rows[0]))
            known.note(choice.key, generation, offset + len(rows) - 1, tuple(rows[-1]))
        return [row[-1] for row in rows]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which rows, of as few tables as that needs. ``key`` tells it from others; ``sorted_by`` are columns."""

    key: Hashable
    source: sa.FromClause
    conditions: Sequence[sa.ColumnElement[bool]]
    sorted_by: Sequence[sa.ColumnElement[Any]]
    parameters: Mapping[str, Any]

    def kept(self, connection: Connection) -> tuple[Places | None, int]:
        """Where what is found out about the rows is kept, and for which generation; None where it is not."""
        known = places(connection)
        if known is None:
            return None, 0
        generation = generations.read(connection, [self.source, *self.conditions, *self.sorted_by])
        return (None, 0) if generation is None else (known, generation)


@dataclass(frozen=True, slots=True)
class _Term:
    """One thing to sort by."""

    column: sa.ColumnElement[Any]
    descending: bool

    @property
    def compared(self) -> sa.ColumnElement[Any]:
        return folding(self.column)

    @property
    def always(self) -> bool:
        """Whether each row has a value."""
        return isinstance(self.column, sa.Column) and not self.column.nullable

    @property
    def directed(self) -> sa.ColumnElement[Any]:
        directed = self.compared.desc() if self.descending else self.compared.asc()
        if self.always:
            return directed
        return directed.nulls_last() if self.descending else directed.nulls_first()


def _comparable(terms: Sequence[_Term]) -> bool:
    """Whether places in this order compare as tuples do."""
    return all(term.always and term.descending == terms[0].descending for term in terms)


def _from(terms: Sequence[_Term], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """True of the row with these values, and of all behind it."""
    compared, bound = _compared(terms, values)
    return compared <= bound if terms[0].descending else compared >= bound


def _behind(terms: Sequence[_Term], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """True of all rows behind the one with these values.

    What the first column alone must be is said too: SQLite finds no tuple by an index that begins with an expression.
    """
    compared, bound = _compared(terms, values)
    first, least = compared.clauses[0], bound.clauses[0]
    if terms[0].descending:
        return sa.and_(first <= least, compared < bound)
    return sa.and_(first >= least, compared > bound)


def _compared(terms: Sequence[_Term], values: Sequence[Any]) -> tuple[sa.Tuple, sa.Tuple]:
    bound = (
        sa.bindparam(None, value, type_=term.compared.type, unique=True)
        for term, value in zip(terms, values, strict=True)
    )
    return sa.tuple_(*(term.compared for term in terms)), sa.tuple_(*bound)


def _read_place(terms: Sequence[_Term], place: Sequence[Any]) -> Sequence[Any]:
    """The values of a place from JSON. Raises InvalidFilter if it is none in this order."""
    kinds = tuple(_python_type(term.column.type) for term in terms)
    try:
        values: Sequence[Any] = msgspec.convert(place, GenericAlias(tuple, kinds))
    except msgspec.ValidationError as error:
        raise InvalidFilter(f"this is no place in the list: {error}") from None
    return values


def _python_type(kind: sa.types.TypeEngine[Any]) -> type:
    match kind:
        case Ordered():
            return kind.enumeration
        case Instant():
            return datetime
        case Guid():
            return UUID
        case sa.Integer():
            return int
    return str


def _frozen(part: Filter | None) -> Hashable:
    """``part`` as something to look up by."""
    if isinstance(part, AllOf | AnyOf):
        return type(part), tuple(_frozen(each) for each in part.parts)
    return part


def columns_of(table: sa.Table, *, without: Container[str] = ()) -> dict[str, sa.ColumnElement[Any]]:
    """The table's own columns, by name, except those that no listing is to show."""
    return {column.name: column for column in table.columns if column.name not in without}


def optional(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A parent's column that an outer join may leave without a value."""
    return sa.type_coerce(column, column.type)
