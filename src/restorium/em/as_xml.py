"""Documents as XML: the element order of the interface, one namespace, nothing that a strict reader refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from restorium.em.documents import Collection, Document, Link, Member, Resource, Scalar, Several

NAMESPACE = "http://www.veeam.com/ent/v1.0"
MEDIA_TYPE = "application/xml; charset=utf-8"
_PROLOG = '<?xml version="1.0" encoding="utf-8"?>'
_ROOT = (
    f' xmlns="{NAMESPACE}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_SPECIAL = re.compile(r'[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')
_SCALARS = (str, int, float)
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def write(document: Document) -> Iterator[str]:
    """The document in pieces; a collection is never in memory as a whole."""
    yield _PROLOG
    yield from _element(document.name, document, _ROOT)


def _element(name: str, member: Member, root: str = "") -> Iterator[str]:
    if isinstance(member, Resource):
        yield from _resource(name, member, root)
    elif isinstance(member, Collection):
        yield from _collection(name, member, root)
    elif isinstance(member, Several):
        for item in member.items:
            yield from _element(name, item, root)
    elif member is not None:
        yield f"<{name}>{_text(member)}</{name}>"


def _resource(name: str, resource: Resource, root: str) -> Iterator[str]:
    opening = f"<{name}{root}{_attributes(resource.attributes)}"
    if resource.text is not None:
        yield f"{opening}>{_text(resource.text)}</{name}>"
        return
    if resource.links is None and all(value is None for _, value in resource.members):
        yield f"{opening} />"
        return
    pieces = [opening, ">"]
    if resource.links is not None:
        pieces.append(_links(resource.links))
    for member, value in resource.members:
        if isinstance(value, _SCALARS):
            pieces.append(f"<{member}>{_text(value)}</{member}>")
        elif value is not None:
            yield "".join(pieces)
            pieces.clear()
            yield from _element(member, value)
    pieces.append(f"</{name}>")
    yield "".join(pieces)


def _collection(name: str, collection: Collection, root: str) -> Iterator[str]:
    empty = True
    for item in collection.items:
        if empty:
            yield f"<{name}{root}>"
            empty = False
        yield "".join(_resource(item.name, item, ""))
    if collection.paging is not None:
        if empty:
            yield f"<{name}{root}>"
        empty = False
        yield "".join(_resource(collection.paging.name, collection.paging, ""))
    yield f"<{name}{root} />" if empty else f"</{name}>"


def _links(links: Sequence[Link]) -> str:
    if not links:
        return "<Links />"
    return f"<Links>{''.join(map(_link, links))}</Links>"


def _link(link: Link) -> str:
    name = "" if link.name is None else f' Name="{_text(link.name)}"'
    kind = "" if link.type is None else f' Type="{link.type}"'
    return f'<Link Href="{_text(link.href)}"{name}{kind} Rel="{link.rel}" />'


def _attributes(attributes: Sequence[tuple[str, Scalar | None]]) -> str:
    return "".join(f' {name}="{_text(value)}"' for name, value in attributes if value is not None)


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return _SPECIAL.sub(_escape, value) if _SPECIAL.search(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0], "\ufffd")  # what XML 1.0 cannot hold even as a reference
