"""Examples made from schemas, as JSON values and as XML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_GUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
_TEXTS = {"date-time": "2026-06-15T23:17:05.037Z", "uri": "https://backup.example:9398/api/…", "uuid": _GUID}
_DEEPEST = 20

Schema = Mapping[str, Any]


def resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """The schema itself where this one only refers to it, or allows null besides."""
    for option in ("anyOf", "oneOf"):
        if option in schema:
            return resolved(schema[option][0], schemas)
    if "$ref" in schema:
        base = resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
        return {**base, **schema, "xml": {**base.get("xml", {}), **schema.get("xml", {})}}
    return schema


def value(schema: Schema, schemas: Mapping[str, Schema], depth: int = 0) -> Any:
    """One value that the schema allows."""
    found = resolved(schema, schemas)
    kind = found.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if "enum" in found:
        return found["enum"][0]
    if kind == "object":
        return {
            name: value(each, schemas, depth + 1)
            for name, each in found.get("properties", {}).items()
            if depth < _DEEPEST and each.get("type") != "null"
        }
    if kind == "array":
        return [value(found["items"], schemas, depth + 1)] if "items" in found else []
    return _scalar(kind, found)


def xml(schema: Schema, schemas: Mapping[str, Schema]) -> str:
    """The same value as an XML document."""
    found = resolved(schema, schemas)
    written = found.get("xml", {})
    name = written.get("name", "Body")
    lines = "\n".join(_element(name, found, schemas, "", 0))
    namespace = written.get("namespace")
    return (
        lines if namespace is None else lines.replace(f"<{name}", f"<{name} xmlns={quoteattr(namespace)}", 1)
    )


def _scalar(kind: str | None, found: Schema) -> Any:
    if kind in ("integer", "number"):
        return 42 if kind == "integer" else 1.5
    if kind in ("boolean", "null"):
        return True if kind == "boolean" else None
    pattern = found.get("pattern", "")
    if pattern:
        return pattern.strip("^$").partition("[0-9a-f]")[0].replace("[A-Za-z]+", "Job") + _GUID
    return _TEXTS.get(found.get("format", ""), "text")


def _element(
    name: str, found: Schema, schemas: Mapping[str, Schema], indent: str, depth: int
) -> Iterator[str]:
    if found.get("type") != "object" or depth > _DEEPEST:
        yield f"{indent}<{name}>{escape(_written(value(found, schemas)))}</{name}>"
        return
    properties = [(each, resolved(schema, schemas), schema) for each, schema in found["properties"].items()]
    opening = f"{indent}<{name}"
    for each, inner, schema in properties:
        if schema.get("xml", {}).get("attribute"):
            opening += f" {each}={quoteattr(_written(value(inner, schemas)))}"
    children = [part for part in properties if not part[2].get("xml", {}).get("attribute")]
    children.sort(key=lambda part: part[0] != "Links")
    if any(schema.get("x-text") for _, _, schema in children):
        text = "".join(_written(value(inner, schemas)) for _, inner, _ in children)
        yield f"{opening}>{escape(text)}</{name}>"
        return
    lines = [
        line
        for each, inner, _ in children
        if inner.get("type") != "null"
        for line in _child(each, inner, schemas, indent + "  ", depth + 1)
    ]
    if not lines:
        yield f"{opening} />"
        return
    yield f"{opening}>"
    yield from lines
    yield f"{indent}</{name}>"


def _child(name: str, inner: Schema, schemas: Mapping[str, Schema], indent: str, depth: int) -> Iterator[str]:
    if inner.get("type") != "array":
        yield from _element(name, inner, schemas, indent, depth)
        return
    if "items" not in inner:
        return
    item = resolved(inner["items"], schemas)
    written = inner.get("xml", {})
    named = item.get("xml", {}).get("name") or written.get("name") or name
    if written.get("wrapped"):
        yield f"{indent}<{name}>"
        yield from _element(named, item, schemas, indent + "  ", depth + 1)
        yield f"{indent}</{name}>"
    else:
        yield from _element(named, item, schemas, indent, depth)


def _written(found: Any) -> str:
    return str(found).lower() if isinstance(found, bool) else str(found)
