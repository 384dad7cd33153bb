"""What an answer says, before it is XML or JSON: a tree of resources, links and collections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

Scalar = str | int | float | bool


class Link(NamedTuple):
    """A link. ``href`` is absolute; ``name`` and ``type`` are absent from XML and null in JSON where None."""

    rel: str
    href: str
    name: str | None = None
    type: str | None = None


class Resource(NamedTuple):
    """One element. Attributes and members that are None are absent from XML.

    name: of the element. members: child elements in order. links: None where the element has no Links.
    nulls: JSON members that are null where nothing gives them a value. text: what a leaf with attributes holds, in
    JSON the member ``Value``.
    """

    name: str
    attributes: Sequence[tuple[str, Scalar | None]] = ()
    members: Sequence[tuple[str, Member]] = ()
    links: Sequence[Link] | None = None
    nulls: Sequence[str] = ()
    text: str | None = None


class Collection(NamedTuple):
    """A list element. ``items`` may be a stream: it is read once, as the document is written.

    key: the name of the list in JSON. paging: a PagingInfo behind the items.
    """

    name: str
    key: str
    items: Iterable[Resource]
    paging: Resource | None = None


class Several(NamedTuple):
    """Elements of one name that follow each other without a list element around them; in JSON a list named ``key``."""

    key: str
    items: Sequence[Resource | Scalar]


Member = Scalar | Resource | Collection | Several | None
Document = Resource | Collection
