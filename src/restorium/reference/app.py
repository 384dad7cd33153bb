"""The pages, put together: one an API, with its resources, what can be asked of them and what they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from restorium.reference import examples

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_METHODS = ("get", "post", "put", "patch", "delete")


class Example(NamedTuple):
    """A name for what is shown, and its text."""

    title: str
    text: str


def create(documents: Mapping[str, Callable[[], dict[str, Any]]]) -> Starlette:
    """The application to mount at ``/reference``; ``documents`` are what the APIs are described by, by short name."""
    environment = Environment(
        loader=PackageLoader("restorium.reference"),
        autoescape=True,
        trim_blocks=True,
    )
    style = resources.files("restorium.reference").joinpath("style.css").read_bytes()

    @cache
    def page(name: str) -> str:
        shown = _Page(documents[name]())
        return environment.get_template("page.html").render(page=shown, name=name, names=list(documents))

    def show(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in documents:
            return Response("There is no such page.", 404, _HEADERS, "text/plain")
        return Response(page(name), 200, _HEADERS, "text/html; charset=utf-8")

    def styled(_request: Request) -> Response:
        return Response(style, 200, _HEADERS, "text/css; charset=utf-8")

    def first(_request: Request) -> Response:
        return RedirectResponse(f"/reference/{next(iter(documents))}", headers=_HEADERS)

    return Starlette(routes=[Route("/", first), Route("/style.css", styled), Route("/{name}", show)])


class _Page:
    """What the template asks for."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.info = document["info"]
        self.server = document["servers"][0]["url"]
        self.besides = document.get("externalDocs")
        self._schemas = document["components"]["schemas"]
        self.groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
        for path, methods in document["paths"].items():
            for method in _METHODS:
                if method in methods:
                    operation = methods[method]
                    self.groups.setdefault(operation["tags"][0], []).append((method, path, operation))
        self.types = self._schemas

    def typed(self, schema: dict[str, Any]) -> str:
        """What a value is, in few words."""
        if "$ref" in schema:
            return str(schema["$ref"].rpartition("/")[2])
        for option in ("anyOf", "oneOf"):
            if option in schema:
                return " or ".join(dict.fromkeys(self.typed(each) for each in schema[option]))
        kind = schema.get("type", "anything")
        if isinstance(kind, list):
            return " or ".join(kind)
        if kind == "array":
            return f"list of {self.typed(schema['items'])}" if "items" in schema else "empty list"
        if kind == "object":
            return str(schema.get("title") or schema.get("xml", {}).get("name") or "object")
        return f"{kind} ({schema['format']})" if "format" in schema else str(kind)

    def named(self, schema: dict[str, Any]) -> str | None:
        """The type that a value is of, where it has a section of its own."""
        found = schema
        while "anyOf" in found:
            found = found["anyOf"][0]
        if found.get("type") == "array" and "items" in found:
            return self.named(found["items"])
        return found["$ref"].rpartition("/")[2] if "$ref" in found else None

    def answers(self, operation: dict[str, Any]) -> list[tuple[str, str]]:
        """Statuses of success, and what comes with them."""
        return [
            (status, answer["description"] or self._kind(answer))
            for status, answer in operation["responses"].items()
            if "$ref" not in answer
        ]

    def refusals(self, operation: dict[str, Any]) -> str:
        """Statuses of errors."""
        return ", ".join(status for status, answer in operation["responses"].items() if "$ref" in answer)

    def examples(self, content: dict[str, Any]) -> list[Example]:
        """One of each kind of document that a body or an answer may be."""
        made = []
        for media, described in content.items():
            schema = described.get("schema")
            for each in [] if schema is None else schema.get("anyOf", [schema]):
                if media.endswith("json"):
                    text = json.dumps(examples.value(each, self._schemas), indent=2, ensure_ascii=False)
                else:
                    text = examples.xml(each, self._schemas)
                made.append(Example(f"{self.typed(each)} as {media}", text))
        return made

    def _kind(self, answer: dict[str, Any]) -> str:
        content = answer.get("content", {})
        return ", ".join(self.typed(each["schema"]) for each in content.values() if "schema" in each)
