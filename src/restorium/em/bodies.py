"""Bodies of requests, read by a declaration, from XML or from JSON in either case of its names.

XML is read with entities, document types and the network off; elements come in the declared order. Whatever is not
declared is refused by name, so that no wish of a client is passed over in silence.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from lxml import etree

from restorium.em.values import BOOLEAN, TEXT, Codec
from restorium.vocabulary.errors import InvalidInput, RestoriumError

if TYPE_CHECKING:
    from restorium.em.call import Request

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@dataclass(frozen=True, slots=True)
class Spec:
    """An element with children, of any name where ``name`` is empty. one_of: it has exactly one of them.

    attributes: those that it may have. text: what it holds beside attributes, by its name in JSON. type: its name among
    the schema's types, if that does not follow from ``name``.
    """

    name: str
    fields: tuple[Field, ...] = ()
    one_of: bool = False
    attributes: tuple[Field, ...] = ()
    text: Field | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A child element. ``kind`` reads its text, as a codec or a function that raises ValueError or an error of ours; a
    Spec reads its children; None reads over whatever it holds, where clients send back what they were given.

    many: the name of the list that it is in JSON, if the element may stand any number of times. Its value is a list
    then, and in JSON a Spec of nothing else may also be the list itself. Of a field of its own name, JSON may have one
    value instead of a list.
    """

    name: str
    kind: Codec | Callable[[str], Any] | Spec | None
    many: str | None = None


Values = dict[str, Any]
_PLAIN = Spec("")

text = replace(TEXT, read=lambda value: value or None)
"""Text; None if it is empty."""
boolean = BOOLEAN


def read(request: Request, spec: Spec) -> Values | None:
    """The body's values by element name; what is absent or nil is left out. None if there is no body.

    Raises InvalidInput naming the element that is wrong.
    """
    content = request.body.removeprefix(codecs.BOM_UTF8).strip()
    if not content:
        return None
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared.endswith("json") or (not declared.endswith("xml") and content[:1] in (b"{", b"[")):
        return _from_json(content, spec)
    return _from_xml(content, spec)


def _from_xml(content: bytes, spec: Spec) -> Values:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidInput(f"the body is not XML: {error}") from None
    if str(getattr(root.getroottree().docinfo, "doctype", "")):
        raise InvalidInput("the body has a document type, which is not read", hint="Send it without DOCTYPE.")
    if spec.name and _local(root) != spec.name:
        raise InvalidInput(f"the body is a {_local(root)}, not a {spec.name}")
    return _element(root, spec)


def _element(element: etree._Element, spec: Spec) -> Values:
    places = {field.name: place for place, field in enumerate(spec.fields)}
    values: Values = {}
    last = -1
    _read_attributes(values, element, spec)
    if spec.text is not None:
        _put(values, spec.text, _value(spec.text, element.text or "", spec))
    elif any(text and text.strip() for text in (element.text, *(child.tail for child in element))):
        raise InvalidInput(f"{spec.name} has text where elements were expected", hint=_order(spec))
    for child in element:
        name = _local(child)
        place = places.get(name)
        if place is None:
            raise _unknown(name, spec)
        if place < last or (place == last and spec.fields[place].many is None):
            problem = "stands twice" if place == last else f"must stand before {spec.fields[last].name}"
            raise InvalidInput(f"{name} {problem} in {spec.name}", hint=_order(spec))
        last = place
        field = spec.fields[place]
        if child.get(_NIL) in ("true", "1") or field.kind is None:
            continue
        if isinstance(field.kind, Spec):
            _put(values, field, _element(child, field.kind))
        elif len(child):
            raise InvalidInput(f"{name} in {spec.name} has elements where text was expected")
        else:
            _read_attributes({}, child, _PLAIN)
            _put(values, field, _value(field, child.text or "", spec))
    return _complete(values, spec)


def _read_attributes(values: Values, element: etree._Element, spec: Spec) -> None:
    """Those that the element may have; those of other namespaces say nothing here."""
    known = {field.name: field for field in spec.attributes}
    for written in element.attrib:  # looking a value up takes longer the more there are, so first the names
        name = etree.QName(written)
        if name.namespace is not None:
            continue
        field = known.get(name.localname)
        if field is None:
            raise InvalidInput(f"{_local(element)} has no attribute {name.localname!r}")
        _put(values, field, _value(field, str(element.attrib[written]), spec))


def _from_json(content: bytes, spec: Spec) -> Values:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    return _object(document, spec)


def _object(found: Any, spec: Spec) -> Values:
    if isinstance(found, list) and len(spec.fields) == 1 and spec.fields[0].many is not None:
        found = {spec.fields[0].many: found}
    if not isinstance(found, dict):
        raise InvalidInput(f"{spec.name} is not an object")
    fields = [*spec.attributes, *spec.fields, *([] if spec.text is None else [spec.text])]
    names = {(field.many or field.name).lower(): field for field in fields}
    values: Values = {}
    for given, value in found.items():
        field = names.get(given.lower())
        if field is None:
            raise _unknown(given, spec)
        if field.name in values:
            raise InvalidInput(f"{field.name} stands twice in {spec.name}")
        if value is None or field.kind is None:
            continue
        if field.many == field.name and not isinstance(value, list):
            value = [value]
        if field.many is not None and not isinstance(value, list):
            raise InvalidInput(f"{field.many} in {spec.name} is not a list")
        for each in value if field.many is not None else [value]:
            _put(values, field, _member(each, field, spec))
    return _complete(values, spec)


def _member(value: Any, field: Field, spec: Spec) -> Any:
    if isinstance(field.kind, Spec):
        return _object(value, field.kind)
    if not isinstance(value, str | bool | int):
        raise InvalidInput(f"{field.name} in {spec.name} is not a single value")
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return _value(field, written, spec)


def _value(field: Field, written: str, spec: Spec) -> Any:
    if field.kind is None or isinstance(field.kind, Spec):
        return None
    try:
        return field.kind.read(written.strip()) if isinstance(field.kind, Codec) else field.kind(written)
    except ValueError as error:
        expected = field.kind.expected if isinstance(field.kind, Codec) else error
        raise InvalidInput(f"{field.name} in {spec.name} is {written!r}, not {expected}") from None
    except RestoriumError as error:
        raise InvalidInput(f"{field.name} in {spec.name}: {error.message}", hint=error.hint) from None


def _put(values: Values, field: Field, value: Any) -> None:
    if value is None:
        return
    if field.many is None:
        values[field.name] = value
    else:
        values.setdefault(field.name, []).append(value)


def _complete(values: Values, spec: Spec) -> Values:
    if spec.one_of and len(values) != 1:
        raise InvalidInput(
            f"{spec.name} has {len(values)} elements where exactly one belongs", hint=_order(spec)
        )
    return values


def _unknown(name: str, spec: Spec) -> InvalidInput:
    return InvalidInput(f"{spec.name} has no element {name!r}", hint=_order(spec))


def _order(spec: Spec) -> str:
    return f"{spec.name} consists of {_listed(field.name for field in spec.fields)}, in this order."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname
