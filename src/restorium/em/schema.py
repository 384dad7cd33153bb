"""The documents and the bodies of requests as an XML Schema, written from their declarations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from lxml import etree

from restorium.em.as_xml import NAMESPACE
from restorium.em.bodies import Field, Spec
from restorium.em.call import Answer, Request
from restorium.em.routing import OpenRoute, Route, Router
from restorium.em.shapes import ERROR, PAGING, Child, Content, Gives, Listed, Shape
from restorium.em.values import TEXT, Codec

MEDIA_TYPE = "application/xml; charset=utf-8"
_XS = "http://www.w3.org/2001/XMLSchema"
_LINK = (
    ("Href", "anyURI", True),
    ("Name", "string", False),
    ("Type", "string", False),
    ("Rel", "string", True),
)
_MANY = {"minOccurs": "0", "maxOccurs": "unbounded"}
_MAYBE = {"minOccurs": "0"}
_NAMELESS = "Mount"
"""What a body of any name is called: only that of mounts has none."""


def documents(routes: Iterable[Route | OpenRoute]) -> dict[str, Shape | Listed]:
    """The documents that these routes answer, by the name of their element. Raises ValueError where two differ."""
    found: dict[str, Shape | Listed] = {ERROR.name: ERROR}
    for route in routes:
        for _, what in route.gives:
            if isinstance(what, Shape | Listed) and found.setdefault(what.name, what) != what:
                raise ValueError(f"two documents are called {what.name}")
    return found


def bodies(routes: Iterable[Route | OpenRoute]) -> list[Spec]:
    """The bodies that these routes read."""
    found = {route.body: None for route in routes if isinstance(route, Route) and route.body is not None}
    return list(found)


def served(router: Router) -> OpenRoute:
    """The route of the schema of a router's routes, for anybody."""

    @cache
    def written() -> bytes:
        return write(router.routes)

    def serve(_request: Request) -> Answer:
        content = written()
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content))}
        return Answer(200, headers=headers, content=iter([content]))

    return OpenRoute("GET", "/schema.xsd", serve, (Gives(200, Content(("application/xml",))),))


def write(routes: Iterable[Route | OpenRoute]) -> bytes:
    """The schema: one element a document, then the bodies of requests.

    A body that has a document's name, or any, is only a type: ``<name>SpecType``.
    """
    known = list(routes)
    return _Schema(documents(known), bodies(known)).content()


class _Schema:
    def __init__(self, shown: dict[str, Shape | Listed], read: Iterable[Spec]) -> None:
        self._root = etree.Element(
            _xs("schema"),
            {"targetNamespace": NAMESPACE, "elementFormDefault": "qualified"},
            nsmap={"xs": _XS, "em": NAMESPACE},
        )
        self._types: dict[str, object] = {}
        self._written: set[str] = set()
        for name, document in sorted(shown.items()):
            _add(self._root, "element", name=name, type=self._type(document))
        for spec in read:
            named = self._body(spec)
            if spec.name and spec.name not in shown:
                _add(self._root, "element", name=spec.name, type=named)

    def content(self) -> bytes:
        return etree.tostring(self._root, xml_declaration=True, encoding="utf-8", pretty_print=True)

    def _type(self, shape: Shape | Listed) -> str:
        """The qualified name of the shape's type, which is written where it is not yet."""
        name = shape.type_name
        if not self._is_new(name, _bare(shape)):
            return f"em:{name}"
        made = _add(self._root, "complexType", name=name)
        if isinstance(shape, Listed):
            self._list(made, shape)
        else:
            self._element(made, shape)
        return f"em:{name}"

    def _list(self, made: etree._Element, shape: Listed) -> None:
        sequence = _add(made, "sequence")
        for item in shape.of:
            _add(sequence, "element", name=item.name, type=self._type(item), **_MANY)
        if shape.paging:
            _add(sequence, "element", name=PAGING.name, type=self._type(PAGING), **_MAYBE)

    def _element(self, made: etree._Element, shape: Shape) -> None:
        holder = made
        if shape.text is not None:
            holder = _add(_add(made, "simpleContent"), "extension", base=f"xs:{shape.text.xsd}")
        elif shape.links or shape.members:
            sequence = _add(made, "sequence")
            if shape.links:
                _add(sequence, "element", name="Links", type=self._links(), **_MAYBE)
            for child in shape.members:
                self._child(sequence, child)
        for each in shape.attributes:
            use = {"use": "required"} if each.required else {}
            _typed(holder, "attribute", each.name, _codec(each), **use)

    def _child(self, sequence: etree._Element, child: Child) -> None:
        occurs = _MANY if child.many is not None else {} if child.required else _MAYBE
        if isinstance(child.kind, Codec):
            _typed(sequence, "element", child.name, child.kind, **occurs)
        else:
            _add(sequence, "element", name=child.name, type=self._type(child.kind), **occurs)

    def _links(self) -> str:
        name = "LinkListType"
        if self._is_new(name, _LINK):
            link = _add(self._root, "complexType", name="LinkType")
            for attribute, kind, required in _LINK:
                use = {"use": "required"} if required else {}
                _add(link, "attribute", name=attribute, type=f"xs:{kind}", **use)
            links = _add(_add(self._root, "complexType", name=name), "sequence")
            _add(links, "element", name="Link", type="em:LinkType", **_MANY)
        return f"em:{name}"

    def _body(self, spec: Spec) -> str:
        name = spec.type or f"{(spec.name or _NAMELESS).removesuffix('Spec')}SpecType"
        if not self._is_new(name, spec):
            return f"em:{name}"
        made = _add(self._root, "complexType", name=name)
        if spec.text is not None:
            base = spec.text.kind.xsd if isinstance(spec.text.kind, Codec) else "string"
            holder = _add(_add(made, "simpleContent"), "extension", base=f"xs:{base}")
        else:
            holder = made
            self._fields(made, spec)
        for each in spec.attributes:
            _typed(holder, "attribute", each.name, _codec(each))
        return f"em:{name}"

    def _fields(self, made: etree._Element, spec: Spec) -> None:
        holder = _add(made, "choice" if spec.one_of else "sequence") if spec.fields else made
        for each in spec.fields:
            occurs = _MANY if each.many is not None else {} if spec.one_of else _MAYBE
            if isinstance(each.kind, Spec):
                _add(holder, "element", name=each.name, type=self._body(each.kind), nillable="true", **occurs)
            elif each.kind is None:
                _add(holder, "element", name=each.name, type="xs:anyType", **occurs)
            else:
                _typed(holder, "element", each.name, _codec(each), nillable="true", **occurs)

    def _is_new(self, name: str, what: object) -> bool:
        known = self._types.setdefault(name, what)
        if known != what:
            raise ValueError(f"two types are called {name}")
        if name in self._written:
            return False
        self._written.add(name)
        return True


def _typed(holder: etree._Element, what: str, name: str, codec: Codec, **options: str) -> None:
    """An attribute or element of a simple type."""
    base = f"xs:{codec.xsd}"
    if not codec.values and not codec.pattern:
        _add(holder, what, name=name, type=base, **options)
        return
    made = _add(_add(_add(holder, what, name=name, **options), "simpleType"), "restriction", base=base)
    for value in codec.values:
        _add(made, "enumeration", value=value)
    if codec.pattern:
        _add(made, "pattern", value=codec.pattern)


def _codec(declared: Child | Field) -> Codec:
    return declared.kind if isinstance(declared.kind, Codec) else TEXT


def _bare(shape: Shape | Listed) -> Shape | Listed:
    """What makes a type, whatever the names of the element and of its list in JSON."""
    return replace(shape, name="", key="") if isinstance(shape, Listed) else replace(shape, name="")


def _add(holder: etree._Element, what: str, **attributes: str) -> etree._Element:
    return etree.SubElement(holder, _xs(what), attributes)


def _xs(name: str) -> str:
    return f"{{{_XS}}}{name}"
