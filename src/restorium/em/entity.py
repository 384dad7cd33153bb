"""An entity: what all resources with an id have in common. Its subclasses are the declarations in ``resources``.

From a declaration follow the two documents of each row, their links, the fields of the query service and the routes.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, get_args, get_origin, get_type_hints
from urllib.parse import quote
from uuid import UUID

from restorium.catalog.filters import storable
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
from restorium.em.shapes import Child, Listed, Shape, addressed
from restorium.em.values import TEXT, codec_of, name_uid, uid
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.ids import parse_guid, urn
from restorium.vocabulary.roles import Role

_BY_NAME: dict[str, type[Entity]] = {}
_AS_ENTITY = "?format=Entity"
_VM_NAME = ("VmDisplayName", "vm_name")
_VAPP_NAME = ("VAppDisplayName", "vapp_name")
"""Attributes that show a column."""


class Entity:
    """One kind of resource.

    plural: its list element. path: of its collection. slot: its place in a query's Entities, if not the plural.
    named: whether its id is a name and no GUID. naming: what Name is, and its field in the query service.
    within: the column of the id that stands for ``{ID}`` in the path, that of what one lies below; such a kind has no
    list of its own.
    vm_bound: whether it has VmDisplayName; vapp_bound: VAppDisplayName. queried: whether the query service knows it.
    absent: whether there is never one. roles: who may read it. queriers: who may query it, if not those. rows: where it
    is read from. nulls: members that its JSON has as null.
    The class's annotated members are its elements, in the order in which they are written.
    """

    type: ClassVar[str]
    plural: ClassVar[str]
    path: ClassVar[str]
    slot: ClassVar[str]
    display: ClassVar[tuple[str, str] | None]
    queried: ClassVar[bool]
    within: ClassVar[str | None]
    named: ClassVar[bool]
    naming: ClassVar[Queryable] = Queryable("Name", "name", TEXT)
    absent: ClassVar[bool] = False
    roles: ClassVar[frozenset[Role]] = EVERYONE
    queriers: ClassVar[frozenset[Role] | None] = None
    rows: ClassVar[Listing]
    links: ClassVar[Sequence[LinkDeclaration]] = (Alternate(),)
    fields: ClassVar[Sequence[Queryable]] = ()
    nulls: ClassVar[Sequence[str]] = ()
    elements: ClassVar[tuple[Element, ...]]
    shape: ClassVar[Shape]
    list_shape: ClassVar[Listed]
    queryable: ClassVar[dict[str, Queryable]]

    def __init_subclass__(
        cls,
        *,
        plural: str,
        path: str,
        slot: str | None = None,
        vm_bound: bool = False,
        vapp_bound: bool = False,
        queried: bool = True,
        within: str | None = None,
        named: bool = False,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        cls.type, cls.plural, cls.path = cls.__name__, plural, path
        cls.slot, cls.queried, cls.within = slot or plural, queried, within
        cls.display = _VM_NAME if vm_bound else _VAPP_NAME if vapp_bound else None
        cls.named = named
        cls.elements = tuple(_elements(cls))
        cls.shape = _shape(cls)
        cls.list_shape = Listed(plural, (cls.shape,), paging=True, type=f"{cls.type}EntityListType")
        cls.queryable = {field.name.lower(): field for field in _fields(cls)}
        _BY_NAME[cls.type] = cls

    @classmethod
    def href(cls, base: str, key: UUID | str, form: Form = Form.REFERENCE) -> str:
        """The absolute address of one of the two documents of an entity that lies below no other."""
        return f"{base}/{cls.path}/{_segment(key)}{_AS_ENTITY if form is Form.ENTITY else ''}"

    @classmethod
    def at(cls, base: str, row: Row, form: Form = Form.REFERENCE) -> str:
        """The absolute address of one of the two documents of a row."""
        href = cls.href(base, row.id, form)
        return href if cls.within is None else href.replace("{ID}", _segment(getattr(row, cls.within)), 1)

    @classmethod
    def key(cls, text: str) -> UUID | str:
        """An id as it stands in a path. Raises InvalidIdentifier, and NotFound for a name that nothing can have."""
        if not cls.named:
            return parse_guid(text)
        if not storable(text):
            raise NotFound(f"there is no {cls.type} {text!r}")
        return text

    @classmethod
    def name_of(cls, row: Row) -> str:
        """The Name of a row."""
        return str(cls.naming.codec.show(getattr(row, cls.naming.column)))

    @classmethod
    def shown(cls, row: Row, view: View) -> Resource:
        """The entity's document."""
        at, name = cls.at(view.base, row), cls.name_of(row)
        attributes = [
            ("Href", f"{at}{_AS_ENTITY}"),
            ("Type", cls.type),
            ("Name", name),
            ("UID", urn(cls.type, row.id)),
        ]
        if cls.display is not None:
            attributes.append((cls.display[0], getattr(row, cls.display[1])))
        members = [(each.name, each.shown(row, view)) for each in cls.elements]
        return Resource(cls.type, attributes, members, cls._links(row, view.base, at, name), cls.nulls)

    @classmethod
    def reference(cls, row: Row, view: View, *, name: str = "Ref") -> Resource:
        """The reference's document: ``EntityRef`` alone, ``Ref`` in lists."""
        at, own_name = cls.at(view.base, row), cls.name_of(row)
        attributes = [
            ("UID", urn(cls.type, row.id)),
            ("Name", own_name),
            ("Href", at),
            ("Type", f"{cls.type}Reference"),
        ]
        return Resource(name, attributes, (), cls._links(row, view.base, at, own_name, Form.REFERENCE))

    @classmethod
    def operations(cls) -> Iterator[Do]:
        """What can be done with an entity."""
        return (link for link in cls.links if isinstance(link, Do))

    @classmethod
    def lists(cls) -> Iterator[Down]:
        """The lists below an entity."""
        return (link for link in cls.links if isinstance(link, Down))

    @classmethod
    def _links(cls, row: Row, base: str, at: str, name: str, form: Form = Form.ENTITY) -> list[Link]:
        """``at`` and ``name`` are the row's own."""
        shown = []
        for declared in cls.links:
            if isinstance(declared, Alternate):
                shown.append(
                    Link("Alternate", at, name, f"{cls.type}Reference")
                    if form is Form.ENTITY
                    else Link("Alternate", f"{at}{_AS_ENTITY}", name, cls.type)
                )
            elif isinstance(declared, Do):
                if form is Form.ENTITY:
                    action = "" if declared.action is None else f"?action={declared.action}"
                    href = f"{at}{declared.path}{action}"
                    shown.append(Link(declared.rel, href, name if declared.named else None, declared.type))
            elif declared.only is None or declared.only is form:
                if isinstance(declared, Down):
                    kind = declared.type or f"{declared.target}ReferenceList"
                    shown.append(Link(declared.rel, f"{at}/{declared.path}", None, kind))
                elif (key := getattr(row, declared.id_column)) is not None:
                    shown.append(_to(declared, base, key, getattr(row, declared.name_column)))
        return shown


def _shape(cls: type[Entity]) -> Shape:
    identity = name_uid(cls.type) if cls.named else uid(cls.type)
    attributes = [*addressed(cls.type), Child("Name", cls.naming.codec), Child("UID", identity)]
    if cls.display is not None:
        attributes.append(Child(cls.display[0], TEXT))
    members = tuple(each.child for each in cls.elements)
    named = f"{cls.type}EntityType"
    return Shape(cls.type, tuple(attributes), members, links=True, nulls=tuple(cls.nulls), type=named)


def entity(name: str) -> type[Entity]:
    """The declaration of that type name."""
    return _BY_NAME[name]


def entities() -> list[type[Entity]]:
    """All declarations, by type name."""
    return [_BY_NAME[name] for name in sorted(_BY_NAME)]


def _segment(key: UUID | str) -> str:
    return quote(key, safe="") if isinstance(key, str) else str(key)


def _to(declared: To, base: str, key: UUID | str, name: str | None) -> Link:
    target = entity(declared.target)
    kind = target.type if declared.form is Form.ENTITY else f"{target.type}Reference"
    return Link(declared.rel, target.href(base, key, declared.form), name, kind)


def _elements(cls: type[Entity]) -> Iterator[Element]:
    hints = get_type_hints(cls)
    for column in inspect.get_annotations(cls):
        declared = cls.__dict__.get(column)
        if isinstance(declared, Element):
            own = declared.codec is not None or declared.shape is not None
            kind = _required(hints[column])
            codec = None if own else codec_of(kind)
            yield declared.bound(column, codec, required=kind is hints[column])


def _required(annotation: Any) -> Any:
    """The type without its None."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def _fields(cls: type[Entity]) -> Iterator[Queryable]:
    yield Queryable("UID", "id", name_uid(cls.type) if cls.named else uid(cls.type))
    yield cls.naming
    for each in cls.elements:
        if each.query is not None and each.codec is not None:
            yield Queryable(each.query, each.column, each.codec)
    for link in cls.links:
        if isinstance(link, To) and link.query is not None:
            yield Queryable(link.query[0], link.id_column, uid(link.target))
            yield Queryable(link.query[1], link.name_column, TEXT)
    if cls.display is not None:
        yield Queryable(*cls.display, TEXT)
    yield from cls.fields
