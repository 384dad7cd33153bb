"""Documents as JSON, in the member names of releases up to 12 or, as a setting, of release 13.

The outermost element loses its name, attributes are members like others, links are a flat array whose members all
have Rel, Href, Name and Type, and a list inside a document has its name twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from restorium.em.documents import Collection, Document, Link, Member, Resource, Several

MEDIA_TYPE = "application/json"

Naming = Callable[[str], str]

_LEADING_CAPITALS = re.compile(r"^[A-Z](?:[A-Z]*(?![a-z]))?")
"""All of them, but the last where it begins a word."""


def pascal(name: str) -> str:
    """Names as they are in XML."""
    return name


@lru_cache(maxsize=2048)
def camel(name: str) -> str:
    """Names as release 13 writes them: ``creationTimeUTC``, ``uid``, ``nasJobs``."""
    return _LEADING_CAPITALS.sub(lambda capitals: capitals[0].lower(), name, count=1)


def write(document: Document, naming: Naming) -> Iterator[str]:
    """The document in pieces; a collection is never in memory as a whole."""
    if isinstance(document, Collection):
        yield from _collection(document, naming)
    else:
        yield from _resource(document, naming)


def _resource(resource: Resource, naming: Naming) -> Iterator[str]:
    members = _members(resource, naming)
    if not any(isinstance(value, Collection | Resource) for value in members.values()):
        yield _encode(members)
        return
    separator = "{"
    for name, value in members.items():
        yield f"{separator}{_encode(name)}:"
        if isinstance(value, Collection | Resource):
            yield from write(value, naming)
        else:
            yield _encode(value)
        separator = ","
    yield "}"


def _collection(collection: Collection, naming: Naming) -> Iterator[str]:
    yield f"{{{_encode(naming(collection.key))}:["
    separator = ""
    for item in collection.items:
        yield separator + "".join(_resource(item, naming))
        separator = ","
    yield "]"
    if collection.paging is not None:
        yield f",{_encode(naming(collection.paging.name))}:"
        yield from _resource(collection.paging, naming)
    yield "}"


def _members(resource: Resource, naming: Naming) -> dict[str, Any]:
    """Members first, then Name, UID and the like, then Links, Href and Type, as the interface's own answers."""
    told: dict[str, Any] = dict(
        _named(name, value, naming) for name, value in resource.members if value is not None
    )
    if resource.text is not None:
        told[naming("Value")] = resource.text
    last = {}
    for name, value in resource.attributes:
        if name in ("Href", "Type"):
            last[naming(name)] = value
        elif value is not None:
            told[naming(name)] = value
    if resource.links is not None:
        told[naming("Links")] = [_link(link, naming) for link in resource.links]
    told |= last
    for name in resource.nulls:
        told.setdefault(naming(name), None)
    return told


def _named(name: str, value: Member, naming: Naming) -> tuple[str, object]:
    if isinstance(value, Several):
        items = [_members(item, naming) if isinstance(item, Resource) else item for item in value.items]
        return naming(value.key), items
    return naming(name), value


def _link(link: Link, naming: Naming) -> dict[str, str | None]:
    return {
        naming("Rel"): link.rel,
        naming("Href"): link.href,
        naming("Name"): link.name,
        naming("Type"): link.type,
    }


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
