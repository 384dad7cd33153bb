"""The face as an OpenAPI document, written from its routes and the shapes and bodies that they declare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from restorium import __version__
from restorium.em import as_json, as_xml
from restorium.em.as_json import Naming
from restorium.em.bodies import Field, Spec
from restorium.em.call import Answer, Request
from restorium.em.entity import entities
from restorium.em.errors import STATUSES
from restorium.em.logon import HEADER
from restorium.em.members import Do, Down, LinkDeclaration, To
from restorium.em.routing import OpenRoute, Parameter, Route, Router
from restorium.em.shapes import ERROR, PAGING, Child, Content, Gives, Listed, Shape
from restorium.em.values import Codec

_ABOUT = (
    "The Enterprise Manager REST API as Restorium serves it. Log on with POST /sessionMngr/?v=latest and HTTP Basic "
    f"authentication, and send the {HEADER} of the answer with each request. Answers are XML unless JSON is asked for."
)
_LOGON = "/sessionMngr"
_SCALARS: Mapping[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "anyURI": {"type": "string", "format": "uri"},
    "dateTime": {"type": "string", "format": "date-time"},
    "int": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
}
_XML, _JSON = as_xml.MEDIA_TYPE.partition(";")[0], as_json.MEDIA_TYPE


def served(router: Router, naming: Naming) -> OpenRoute:
    """The route of the document of a router's routes, for anybody."""

    @cache
    def written() -> bytes:
        return msgspec.json.encode(write(router.routes, naming))

    def serve(_request: Request) -> Answer:
        content = written()
        headers = {"Content-Type": _JSON, "Content-Length": str(len(content))}
        return Answer(200, headers=headers, content=iter([content]))

    return OpenRoute("GET", "/openapi.json", serve, (Gives(200, Content((_JSON,))),))


def write(routes: Iterable[Route | OpenRoute], naming: Naming) -> dict[str, Any]:
    """The document. Requests that differ in ``action`` only are one operation of it, which names the actions."""
    places: dict[str, dict[str, list[Route | OpenRoute]]] = {}
    for route in routes:
        path = numbered(route.path)
        places.setdefault(path, {}).setdefault(route.method.lower(), []).append(route)
    writer = _Writer(naming)
    paths = {
        path: {method: writer.operation(path, method, found) for method, found in sorted(methods.items())}
        for path, methods in sorted(places.items())
    }
    error = writer.answer("What went wrong, and what to do about it.", [ERROR])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Restorium: Enterprise Manager REST API",
            "version": __version__,
            "description": _ABOUT,
        },
        "servers": [{"url": "/api"}],
        "externalDocs": {"description": "XML Schema", "url": "/api/schema.xsd"},
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(writer.schemas.items())),
            "responses": {"Error": error},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "header", "name": HEADER},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def numbered(path: str) -> str:
    """A route's path with a name of its own for each id."""
    names = iter(("{ID}", "{ID2}", "{ID3}"))
    return re.sub(r"\{ID\}", lambda _: next(names), path)


class _Writer:
    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self.schemas: dict[str, dict[str, Any]] = {}
        self._kinds = {kind.shape.type_name: kind for kind in entities()}

    def operation(self, path: str, method: str, routes: list[Route | OpenRoute]) -> dict[str, Any]:
        """What a method does at a path, with all its actions."""
        made: dict[str, Any] = {
            "operationId": re.sub(r"[^A-Za-z0-9]+", "_", f"{method}{path}").strip("_"),
            "tags": [path.strip("/").split("/")[0] or "root"],
            "description": " ".join(filter(None, map(_told, routes))),
            "parameters": [*_ids(path), *self._parameters(routes)],
            "responses": self._responses(routes),
        }
        if isinstance(routes[0], OpenRoute):
            made["security"] = [{"basic": []}] if path == _LOGON else []
        else:
            made["x-roles"] = {
                route.action or "": sorted(route.roles) for route in routes if isinstance(route, Route)
            }
        found = [route.body for route in routes if isinstance(route, Route) and route.body is not None]
        if found:
            schemas = [self._body(spec) for spec in dict.fromkeys(found)]
            content = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
            made["requestBody"] = {"content": {_XML: content, _JSON: content}}
        return made

    def answer(self, about: str, shapes: Iterable[Shape | Listed]) -> dict[str, Any]:
        """A response that is one of these documents, in either format."""
        schemas = [self._document(shape) for shape in shapes]
        content = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
        return {"description": about, "content": {_XML: content, _JSON: content}}

    def _responses(self, routes: list[Route | OpenRoute]) -> dict[str, Any]:
        by_status: dict[int, list[Shape | Listed | Content | None]] = {}
        for route in routes:
            for status, what in route.gives:
                if what not in by_status.setdefault(status, []):
                    by_status[status].append(what)
        responses: dict[str, Any] = {}
        for status, shown in sorted(by_status.items()):
            documents = [each for each in shown if isinstance(each, Shape | Listed)]
            names = ", ".join(each.name for each in documents)
            made: dict[str, Any] = {"description": "Done."}
            if documents:
                made = self.answer(names, documents)
            for each in shown:
                if isinstance(each, Content):
                    made["description"] = f"{names}, or content" if names else "Content"
                    made.setdefault("content", {}).update({kind: {} for kind in each.types})
            responses[str(status)] = made
        for status in sorted(STATUSES):
            responses[str(status)] = {"$ref": "#/components/responses/Error"}
        return responses

    def _parameters(self, routes: list[Route | OpenRoute]) -> Iterator[dict[str, Any]]:
        actions = [route.action if isinstance(route, Route) else None for route in routes]
        if named := [action for action in actions if action is not None]:
            yield {
                "name": "action",
                "in": "query",
                "required": None not in actions,
                "schema": {"type": "string", "enum": named},
            }
        known: dict[str, Parameter] = {each.name: each for route in routes for each in route.parameters}
        for each in known.values():
            yield {
                "name": each.name,
                "in": "query",
                "required": each.required,
                "description": each.about,
                "schema": scalar(each.codec),
            }

    def _document(self, shape: Shape | Listed) -> dict[str, Any]:
        return self._listed(shape) if isinstance(shape, Listed) else self._shape(shape)

    def _shape(self, shape: Shape) -> dict[str, Any]:
        name = shape.type_name
        if name not in self.schemas:
            self.schemas[name] = {}  # its place, for what holds one of its own kind
            self.schemas[name] = self._object(shape)
        reference: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
        if self.schemas[name].get("xml", {}).get("name", shape.name) != shape.name:
            reference["xml"] = {"name": shape.name}
        return reference

    def _object(self, shape: Shape) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required = []
        for child in shape.members:
            properties[self._naming(child.many or child.name)] = self._value(child, child.name in shape.nulls)
        if shape.text is not None:
            properties[self._naming("Value")] = {**scalar(shape.text), "x-text": True}
            required.append(self._naming("Value"))
        for child in shape.attributes:
            schema = self._value(child, child.name in shape.nulls)
            properties[self._naming(child.name)] = {**schema, "xml": {"attribute": True, "name": child.name}}
        if shape.links:
            properties[self._naming("Links")] = self._links()
        for name in shape.nulls:
            properties.setdefault(self._naming(name), {"type": "null"})
        children = (*shape.members, *shape.attributes)
        required += [self._naming(child.many or child.name) for child in children if child.required]
        made: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
            "xml": {"name": shape.name, "namespace": as_xml.NAMESPACE},
        }
        kind = self._kinds.get(shape.type_name)
        if kind is not None:
            made["description"] = (kind.__doc__ or "").strip()
            made["x-links"] = [_link(each) for each in kind.links]
            made["x-query-fields"] = {
                each.name: {**scalar(each.codec), "description": each.codec.expected}
                for each in kind.queryable.values()
            }
        return made

    def _value(self, child: Child, nullable: bool) -> dict[str, Any]:
        schema = scalar(child.kind) if isinstance(child.kind, Codec) else self._document(child.kind)
        if child.many is not None:
            schema = {"type": "array", "items": schema, "xml": {"name": child.name}}
        return {"anyOf": [schema, {"type": "null"}]} if nullable else schema

    def _listed(self, listed: Listed) -> dict[str, Any]:
        items = [self._shape(each) for each in listed.of]
        array: dict[str, Any] = {"type": "array"}
        array |= {"items": items[0] if len(items) == 1 else {"anyOf": items}} if items else {"maxItems": 0}
        key = self._naming(listed.key or listed.name)
        properties = {key: array}
        if listed.paging:
            properties[self._naming(PAGING.name)] = self._shape(PAGING)
        return {
            "type": "object",
            "properties": properties,
            "required": [key],
            "additionalProperties": False,
            "xml": {"name": listed.name, "namespace": as_xml.NAMESPACE},
        }

    def _links(self) -> dict[str, Any]:
        if "LinkType" not in self.schemas:
            text: dict[str, Any] = {"type": "string"}
            maybe: dict[str, Any] = {"type": ["string", "null"]}
            values: dict[str, dict[str, Any]] = {"Rel": text, "Href": text, "Name": maybe, "Type": maybe}
            self.schemas["LinkType"] = {
                "type": "object",
                "properties": {
                    self._naming(name): {**schema, "xml": {"attribute": True, "name": name}}
                    for name, schema in values.items()
                },
                "required": [self._naming(name) for name in values],
                "additionalProperties": False,
                "xml": {"name": "Link"},
            }
        return {
            "type": "array",
            "items": {"$ref": "#/components/schemas/LinkType"},
            "xml": {"name": "Links", "wrapped": True},
        }

    def _body(self, spec: Spec) -> dict[str, Any]:
        fields = [*spec.attributes, *spec.fields, *([] if spec.text is None else [spec.text])]
        made: dict[str, Any] = {
            "type": "object",
            "properties": {self._naming(each.many or each.name): self._field(each, spec) for each in fields},
            "additionalProperties": False,
        }
        if spec.name:
            made |= {"title": spec.name, "xml": {"name": spec.name, "namespace": as_xml.NAMESPACE}}
        if spec.one_of:
            made |= {"minProperties": 1, "maxProperties": 1}
        return made

    def _field(self, field: Field, spec: Spec) -> dict[str, Any]:
        schema: dict[str, Any]
        if isinstance(field.kind, Spec):
            schema = self._body(field.kind)
        elif field.kind is None:
            schema = {}
        elif isinstance(field.kind, Codec):
            schema = scalar(field.kind)
        else:
            schema = {"type": "string"}
        if field == spec.text:
            return {**schema, "x-text": True}
        if field in spec.attributes:
            return {**schema, "xml": {"attribute": True, "name": field.name}}
        return (
            schema if field.many is None else {"type": "array", "items": schema, "xml": {"name": field.name}}
        )


def scalar(codec: Codec) -> dict[str, Any]:
    """The schema of a simple value."""
    made = dict(_SCALARS[codec.xsd])
    if codec.values:
        made["enum"] = list(codec.values)
    if codec.pattern:
        made["pattern"] = f"^{codec.pattern}$"
    return made


def _ids(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        about = "A path with as many segments as it takes." if name == "filepath" else "An id."
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": {"type": "string"},
        }


def _told(route: Route | OpenRoute) -> str:
    """What is not to be seen from parameters, roles and answers."""
    if isinstance(route, OpenRoute):
        return "For anybody, logged on or not."
    if route.gives:
        return ""
    return (
        f"{f'action={route.action} is' if route.action else 'It is'} not offered, or there is never one here."
    )


def _link(link: LinkDeclaration) -> dict[str, str]:
    match link:
        case To():
            return {"rel": link.rel, "type": link.target}
        case Down():
            return {"rel": link.rel, "type": link.type or f"{link.target}ReferenceList", "path": link.path}
        case Do():
            action = f"?action={link.action}" if link.action else ""
            return {"rel": link.rel, "type": link.type or "", "path": f"{link.method} {link.path}{action}"}
        case _:
            return {"rel": "Alternate", "type": "the other form"}
