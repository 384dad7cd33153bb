"""Pages and order of lists: ``pageSize``, ``page``, ``sortAsc``, ``sortDesc``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from restorium.catalog.listing import Order
from restorium.em.call import Request
from restorium.em.documents import Link, Resource
from restorium.em.members import Queryable
from restorium.em.routing import Parameter
from restorium.em.shapes import PAGING
from restorium.em.values import INTEGER
from restorium.vocabulary.errors import InvalidFilter, InvalidInput

PLAIN = ":$~"
"""What stands in a segment of a path as it is, besides letters and digits."""
_LARGEST = 2**31 - 1
PARAMETERS = (
    Parameter("pageSize", "How many items a page has; without it everything is on one.", INTEGER),
    Parameter("page", "Which page, from 1.", INTEGER),
)
_ECHOED = ("action", "type", "format", "filter", "sortAsc", "sortDesc")


@dataclass(frozen=True, slots=True)
class Page:
    """``number`` counts from 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


def page_of(request: Request) -> Page | None:
    """The page asked for; None where everything is. Raises InvalidInput."""
    size = _positive(request, "pageSize")
    number = _positive(request, "page")
    return None if size is None else Page(number or 1, size)


def order_of(request: Request, fields: Mapping[str, Queryable], what: str) -> Order:
    """The columns to sort by, ascending ones first. Raises InvalidFilter for a field that there is not."""
    order = []
    for parameter, descending in (("sortAsc", False), ("sortDesc", True)):
        given = request.parameter(parameter)
        for name in [] if given is None else given.split(","):
            field = fields.get(name.strip().lower())
            if field is None:
                raise InvalidFilter(
                    f"{what} has no field {name!r} to sort by, as {parameter} asks for",
                    hint="Its fields are " + ", ".join(each.name for each in fields.values()) + ".",
                )
            order.append((field.column, descending))
    return order


def paging_info(request: Request, page: Page, total: int) -> Resource:
    """The PagingInfo of a page among ``total`` items, with links to its neighbours."""
    count = max(1, -(-total // page.size))
    linked = [("First", 1)]
    if page.number > 1:
        linked.append(("Previous", min(page.number - 1, count)))
    if page.number < count:
        linked.append(("Next", page.number + 1))
    linked.append(("Last", count))
    links = [Link(rel, _href(request, page.size, number)) for rel, number in linked]
    return PAGING.made(links, PageNum=page.number, PageSize=page.size, PagesCount=count)


def _href(request: Request, size: int, number: int) -> str:
    given = [(name, request.parameter(name)) for name in _ECHOED]
    echoed = [f"{name}={quote(value, safe='')}" for name, value in given if value is not None]
    path = "/".join(quote(segment, safe=PLAIN) for segment in request.segments)
    return f"{request.base}/{path}?{'&'.join([*echoed, f'pageSize={size}', f'page={number}'])}"


def _positive(request: Request, name: str) -> int | None:
    given = request.parameter(name)
    if given is None:
        return None
    text = given.strip()
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:11]) <= _LARGEST or len(text) > 10:
        raise InvalidInput(f"{name}={given} is not a number from 1 to {_LARGEST}")
    return int(text)
