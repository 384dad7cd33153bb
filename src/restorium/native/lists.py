"""Lists as requests ask for them: which rows, in which order, as a page or as a file of all that pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from restorium.catalog.filters import Operator
from restorium.catalog.listing import AllOf, AnyOf, Compare, Filter, Listing, Order
from restorium.native.exchange import moment, show
from restorium.native.exports import Export, export, wanted
from restorium.native.operation import Call
from restorium.native.paging import Asked, Form, Page, everything, page
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.ids import parse_guid

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

Reader = Callable[[str, str], Filter]
"""The name of a parameter and its text to a filter. Raises InvalidInput."""


def one_of(column: str, kind: type[StrEnum]) -> Reader:
    """One or more members, in any case, with commas between them."""

    def member(name: str, text: str) -> StrEnum:
        found = next((member for member in kind if member.lower() == text.strip().lower()), None)
        if found is None:
            raise InvalidInput(f"{name}={text} is not known", hint=f"Known are {', '.join(kind)}.")
        return found

    return lambda name, text: AnyOf([Compare(column, "==", member(name, each)) for each in text.split(",")])


def text(column: str, op: Operator = "==") -> Reader:
    """Text in any case."""
    return lambda _name, text: Compare(column, op, text)


def guid(column: str) -> Reader:
    """An id."""
    return lambda _name, text: Compare(column, "==", parse_guid(text))


def present(column: str) -> Reader:
    """``true`` for rows that have a value there, ``false`` for those that have none."""

    def read(name: str, text: str) -> Compare:
        if text not in ("true", "false"):
            raise InvalidInput(f"{name}={text} is neither true nor false")
        return Compare(column, "!=" if text == "true" else "==", None)

    return read


def period(column: str) -> Mapping[str, Reader]:
    """``since`` a moment, and ``until`` one, which is left out."""
    return {
        "since": lambda name, text: Compare(column, ">=", moment(name, text)),
        "until": lambda name, text: Compare(column, "<", moment(name, text)),
    }


def members(kind: type[T]) -> Form[T]:
    """A form that takes of each row what ``kind`` has, by name."""
    return lambda _connection, rows: [show(row, kind) for row in rows]


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be asked for of one list.

    usual: what it is sorted by if nothing is said, descending with a ``-`` in front; so is ``sort``. sorts: all it can
    be sorted by; ``partial`` are those that some rows have no value of, which are left out then.
    """

    usual: str
    sorts: tuple[str, ...]
    filters: Mapping[str, Reader]
    partial: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters of the query that choose and order."""
        return (*self.filters, "sort")

    @property
    def query(self) -> tuple[str, ...]:
        """Parameters of a list that comes in pages."""
        return (*self.names, "limit", "after")

    def of(self, asked: Asked) -> tuple[Filter, Order]:
        """Raises InvalidInput."""
        given = asked.parameters
        order = self._order(given.get("sort", self.usual))
        parts = [reader(name, given[name]) for name, reader in self.filters.items() if name in given]
        parts += [Compare(name, "!=", None) for name, _ in order if name in self.partial]
        return AllOf(parts), order

    def _order(self, sort: str) -> Order:
        name = sort.removeprefix("-")
        if name not in self.sorts:
            raise InvalidInput(
                f"sort={sort} is not possible", hint=f"Sort by {', '.join(self.sorts)}, or -{self.sorts[0]}."
            )
        return [(name, sort.startswith("-"))]


BY_NAME = Choice("name", ("name",), {})
"""Of lists of what bears a name."""


def page_of(call: Call, listing: Listing, choice: Choice, form: Form[T]) -> Page[T]:
    """The page of a list that a request asks for."""
    asked = Asked.of(call, choice.names)
    where, order = choice.of(asked)
    return page(call, listing, asked, where, order, form)


def page_or_file(
    call: Call, listing: Listing, choice: Choice, form: Form[S], columns: Sequence[str]
) -> Page[S] | Export:
    """The page, or with ``format`` csv or ndjson or such an Accept header a file, of CSV with these columns."""
    media_type = wanted(call)
    if media_type is None:
        return page_of(call, listing, choice, form)
    asked = Asked.of(call, choice.names)
    where, order = choice.of(asked)
    return export(media_type, everything(call, listing, asked, where, order, form), columns)
