"""Lists page by page: each page says where the next begins, and takes as long as the first wherever that is.

What a page ends with is sealed into ``next`` together with what was asked for, so the next page is of the same list,
and nobody can make up a place. It is the caller's restore scope of the moment that cuts each page.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Filter, Listing, Order, Row
from restorium.native.operation import Call
from restorium.vocabulary.errors import InvalidInput, WrongKey

_OWNER = UUID("7b0ab1f6-1f0d-4a5e-9a39-6f7a3e0c2d11")
"""Stands for the places of pages among what the master key seals."""
_CHUNK = 500

T = TypeVar("T")

Form = Callable[[Connection, Sequence[Row]], Sequence[T]]
"""Rows of one read to what is shown of them."""


class Page(msgspec.Struct, Generic[T]):
    """As much of a list as was asked for; ``next`` is what to ask for as ``after`` to go on, null at the end."""

    items: list[T]
    next: str | None


class _Place(msgspec.Struct, array_like=True):
    path: str
    asked: dict[str, str]
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a list, those of its first page if this is a later one, and the place where it begins."""

    parameters: Mapping[str, str]
    after: Sequence[Any] | None

    @classmethod
    def of(cls, call: Call, names: Sequence[str]) -> Asked:
        """names: of the parameters that choose and order. Raises InvalidInput for an ``after`` that is not of this
        list, or of it with other parameters.
        """
        given = {name: text for name, text in call.request.query_params.items() if name in names}
        text = call.request.query_params.get("after")
        if text is None:
            return cls(given, None)
        place = _open(call, text)
        if given.items() - place.asked.items():
            raise InvalidInput(
                f"after={text[:40]} goes on with a list that was asked for otherwise",
                hint="Send it alone, or with the same filter and order.",
            )
        return cls(place.asked, place.values)


def page(
    call: Call, listing: Listing, asked: Asked, where: Filter | None, order: Order, form: Form[T]
) -> Page[T]:
    """The page that a request asks for, its rows shown by ``form``."""
    with call.engine.database.read() as connection:
        rows, behind = listing.following(
            connection, where=where, order=order, after=asked.after, limit=call.limit, visible=call.visible
        )
        items = list(form(connection, rows))
    return Page(items, None if behind is None else seal(call, asked, behind))


def everything(
    call: Call, listing: Listing, asked: Asked, where: Filter | None, order: Order, form: Form[T]
) -> Iterator[T]:
    """All rows from where the request begins, in many short reads: none waits for the client."""
    behind = asked.after
    while True:
        with call.engine.database.read() as connection:
            rows, behind = listing.following(
                connection, where=where, order=order, after=behind, limit=_CHUNK, visible=call.visible
            )
            items = form(connection, rows)
        yield from items
        if behind is None:
            return


def seal(call: Call, asked: Asked, values: Sequence[Any]) -> str:
    """The ``next`` of a page that ends with these values."""
    place = _Place(call.request.url.path, dict(asked.parameters), list(values))
    sealed = call.engine.secrets.seal(_OWNER, msgspec.json.encode(place))
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def _open(call: Call, text: str) -> _Place:
    try:
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = msgspec.json.decode(call.engine.secrets.open(_OWNER, sealed), type=_Place)
    except (ValueError, WrongKey):
        place = None
    if place is None or place.path != call.request.url.path:
        raise InvalidInput(
            f"after={text[:40]} is no place in this list", hint="Send what the page before had as `next`."
        )
    return place
