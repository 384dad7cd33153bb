"""An entity: what all resources with an id have in common. Its subclasses are the declarations in ``resources``.

From a declaration follow the two documents of each row, their links, the fields of the query service and the routes.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, get_args, get_origin, get_type_hints
from uuid import UUID

from restorium.catalog.listing import Listing, Row
from restorium.em.call import View
from restorium.em.documents import Link, Resource
from restorium.em.members import (
    Alternate,
    Do,
    Down,
    Element,
    Form,
    LinkDeclaration,
    Queryable,
    To,
)
from restorium.em.roles import EVERYONE
from restorium.em.values import TEXT, codec_of, uid
from restorium.vocabulary.ids import urn
from restorium.vocabulary.roles import Role

_BY_NAME: dict[str, type[Entity]] = {}


class Entity:
    """One kind of resource.

    plural: its list element. path: of its collection. slot: its place in a query's Entities, if not the plural.
    vm_bound: whether it has VmDisplayName. queried: whether the query service knows it. roles: who may read it.
    queriers: who may query it, if not those. rows: where it is read from. nulls: members that its JSON has as null.
    The class's annotated members are its elements, in the order in which they are written.
    """

    type: ClassVar[str]
    plural: ClassVar[str]
    path: ClassVar[str]
    slot: ClassVar[str]
    vm_bound: ClassVar[bool]
    queried: ClassVar[bool]
    roles: ClassVar[frozenset[Role]] = EVERYONE
    queriers: ClassVar[frozenset[Role] | None] = None
    rows: ClassVar[Listing]
    links: ClassVar[Sequence[LinkDeclaration]] = (Alternate(),)
    fields: ClassVar[Sequence[Queryable]] = ()
    nulls: ClassVar[Sequence[str]] = ()
    elements: ClassVar[tuple[Element, ...]]
    queryable: ClassVar[dict[str, Queryable]]

    def __init_subclass__(
        cls,
        *,
        plural: str,
        path: str,
        slot: str | None = None,
        vm_bound: bool = False,
        queried: bool = True,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        cls.type, cls.plural, cls.path = cls.__name__, plural, path
        cls.slot, cls.vm_bound, cls.queried = slot or plural, vm_bound, queried
        cls.elements = tuple(_elements(cls))
        cls.queryable = {field.name.lower(): field for field in _fields(cls)}
        _BY_NAME[cls.type] = cls

    @classmethod
    def href(cls, base: str, key: UUID, form: Form = Form.REFERENCE) -> str:
        """The absolute address of one of the two documents of an entity."""
        return f"{base}/{cls.path}/{key}{'?format=Entity' if form is Form.ENTITY else ''}"

    @classmethod
    def shown(cls, row: Row, view: View) -> Resource:
        """The entity's document."""
        attributes = [
            ("Href", cls.href(view.base, row.id, Form.ENTITY)),
            ("Type", cls.type),
            ("Name", row.name),
            ("UID", urn(cls.type, row.id)),
        ]
        if cls.vm_bound:
            attributes.append(("VmDisplayName", row.vm_name))
        members = [(each.name, each.shown(row, view)) for each in cls.elements]
        return Resource(cls.type, attributes, members, cls._links(row, view.base, Form.ENTITY), cls.nulls)

    @classmethod
    def reference(cls, row: Row, view: View, *, name: str = "Ref") -> Resource:
        """The reference's document: ``EntityRef`` alone, ``Ref`` in lists."""
        attributes = [
            ("UID", urn(cls.type, row.id)),
            ("Name", row.name),
            ("Href", cls.href(view.base, row.id)),
            ("Type", f"{cls.type}Reference"),
        ]
        return Resource(name, attributes, (), cls._links(row, view.base, Form.REFERENCE))

    @classmethod
    def operations(cls) -> Iterator[Do]:
        """What can be done with an entity."""
        return (link for link in cls.links if isinstance(link, Do))

    @classmethod
    def lists(cls) -> Iterator[Down]:
        """The lists below an entity."""
        return (link for link in cls.links if isinstance(link, Down))

    @classmethod
    def _links(cls, row: Row, base: str, form: Form) -> list[Link]:
        shown = []
        for declared in cls.links:
            match declared:
                case Alternate():
                    shown.append(cls._alternate(row, base, form))
                case To(only=only) if only in (None, form):
                    key = getattr(row, f"{declared.by}_id")
                    if key is not None:
                        shown.append(_to(declared, base, key, getattr(row, f"{declared.by}_name")))
                case Down(only=only) if only in (None, form):
                    kind = declared.type or f"{declared.target}ReferenceList"
                    shown.append(Link(declared.rel, f"{cls.href(base, row.id)}/{declared.path}", None, kind))
                case Do() if form is Form.ENTITY:
                    action = "" if declared.action is None else f"?action={declared.action}"
                    href = f"{cls.href(base, row.id)}{declared.path}{action}"
                    shown.append(
                        Link(declared.rel, href, row.name if declared.named else None, declared.type)
                    )
        return shown

    @classmethod
    def _alternate(cls, row: Row, base: str, form: Form) -> Link:
        if form is Form.ENTITY:
            return Link("Alternate", cls.href(base, row.id), row.name, f"{cls.type}Reference")
        return Link("Alternate", cls.href(base, row.id, Form.ENTITY), row.name, cls.type)


def entity(name: str) -> type[Entity]:
    """The declaration of that type name."""
    return _BY_NAME[name]


def entities() -> list[type[Entity]]:
    """All declarations, by type name."""
    return [_BY_NAME[name] for name in sorted(_BY_NAME)]


def _to(declared: To, base: str, key: UUID, name: str | None) -> Link:
    target = entity(declared.target)
    kind = target.type if declared.form is Form.ENTITY else f"{target.type}Reference"
    return Link(declared.rel, target.href(base, key, declared.form), name, kind)


def _elements(cls: type[Entity]) -> Iterator[Element]:
    hints = get_type_hints(cls)
    for column in inspect.get_annotations(cls):
        declared = cls.__dict__.get(column)
        if isinstance(declared, Element):
            own = declared.codec is not None or declared.value is not None
            yield declared.bound(column, None if own else codec_of(_required(hints[column])))


def _required(annotation: Any) -> Any:
    """The type without its None."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def _fields(cls: type[Entity]) -> Iterator[Queryable]:
    yield Queryable("UID", "id", uid(cls.type))
    yield Queryable("Name", "name", TEXT)
    for each in cls.elements:
        if each.query is not None and each.codec is not None:
            yield Queryable(each.query, each.column, each.codec)
    for link in cls.links:
        if isinstance(link, To) and link.query is not None:
            yield Queryable(link.query[0], f"{link.by}_id", uid(link.target))
            yield Queryable(link.query[1], f"{link.by}_name", TEXT)
    if cls.vm_bound:
        yield Queryable("VmDisplayName", "vm_name", TEXT)
    yield from cls.fields
