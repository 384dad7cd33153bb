"""What documents look like, declared once: they are made by their shape, and the schemas are written from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from restorium.em.documents import Collection, Link, Member, Resource, Scalar, Several
from restorium.em.values import ADDRESS, INTEGER, TEXT, Codec, one_of


@dataclass(frozen=True, slots=True)
class Child:
    """An attribute or a child element. many: its list's name in JSON, if it may stand any number of times."""

    name: str
    kind: Codec | Shape | Listed
    required: bool = True
    many: str | None = None

    def shown(self, value: Any) -> Any:
        """A value of the catalog's as the document has it; documents stay as they are."""
        if not isinstance(self.kind, Codec):
            return value if self.many is None or value is None else Several(self.many, list(value))
        if value is None:
            return self.kind.values[0] if len(self.kind.values) == 1 else None
        return (
            self.kind.show(value)
            if self.many is None
            else Several(self.many, list(map(self.kind.show, value)))
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """An element: its attributes, then Links if it has them, then its children in order.

    nulls: members that its JSON has as null where nothing gives them a value. text: what a leaf with attributes holds,
    in JSON the member ``Value``. type: its name among the schema's types, if not the element's with ``Type`` behind it.
    """

    name: str
    attributes: tuple[Child, ...] = ()
    members: tuple[Child, ...] = ()
    links: bool = False
    nulls: tuple[str, ...] = ()
    text: Codec | None = None
    type: str = ""

    @property
    def type_name(self) -> str:
        """Its name among the types of the schemas."""
        return self.type or f"{self.name}Type"

    def made(self, links: Sequence[Link] | None = None, /, **values: Any) -> Resource:
        """The element with these attributes and children, given by name as the catalog has them; None is absent.

        ``text`` is given as ``Value``. What is always the same need not be given.
        """
        known = [child.name for child in (*self.attributes, *self.members)] + ["Value"] * (
            self.text is not None
        )
        if unknown := values.keys() - set(known):
            raise TypeError(f"{self.name} has no {', '.join(sorted(unknown))}")
        attributes: list[tuple[str, Scalar | None]] = [
            (each.name, each.shown(values.get(each.name))) for each in self.attributes
        ]
        members: list[tuple[str, Member]] = [
            (each.name, each.shown(values.get(each.name))) for each in self.members
        ]
        text = None if self.text is None else str(self.text.show(values["Value"]))
        return Resource(self.name, attributes, members, links, self.nulls, text)

    def called(self, name: str) -> Shape:
        """The same under another name."""
        return replace(self, name=name, type=self.type_name)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list element. key: its name in JSON, if not its own. of: its items, of which it may have several kinds.

    paging: whether a PagingInfo may stand behind the items.
    """

    name: str
    of: tuple[Shape, ...]
    key: str = ""
    paging: bool = False
    type: str = ""

    @property
    def type_name(self) -> str:
        """Its name among the types of the schemas."""
        return self.type or f"{self.name}Type"

    def made(self, items: Iterable[Resource], paging: Resource | None = None) -> Collection:
        """The list of these items, which may be a stream."""
        return Collection(self.name, self.key or self.name, items, paging)


class Content(NamedTuple):
    """An answer that is no document but content of these media types."""

    types: tuple[str, ...]


class Gives(NamedTuple):
    """A status, and what is answered with it; None: nothing."""

    status: int
    what: Shape | Listed | Content | None = None


NOTHING = (Gives(204),)
"""Of what is done and has nothing to tell."""


def addressed(type_name: str) -> tuple[Child, ...]:
    """The attributes of a document that has an address: Href and Type."""
    return Child("Href", ADDRESS), Child("Type", one_of(type_name))


REFERENCE = Shape(
    "Ref",
    (Child("UID", TEXT), Child("Name", TEXT), Child("Href", ADDRESS), Child("Type", TEXT)),
    links=True,
    type="EntityReferenceType",
)
"""An entity's short document."""
REFERENCES = Listed("EntityReferences", (REFERENCE,), key="Refs", paging=True, type="EntityReferenceListType")
PAGING = Shape(
    "PagingInfo",
    tuple(Child(name, INTEGER) for name in ("PageNum", "PageSize", "PagesCount")),
    links=True,
)
ERROR = Shape(
    "Error",
    (Child("Message", TEXT), Child("StatusCode", INTEGER), Child("Status", TEXT, required=False)),
    tuple(Child(name, TEXT, required=False) for name in ("FirstChanceExceptionMessage", "StackTrace")),
    nulls=("FirstChanceExceptionMessage", "StackTrace", "Status"),
)
