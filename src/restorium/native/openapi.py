"""The native API as an OpenAPI document, written from its operations and the types that they take and give."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from starlette.responses import Response

from restorium import __version__
from restorium.native.errors import STATUSES
from restorium.native.operation import Operation
from restorium.native.tokens import Credentials, Token

_ABOUT = (
    "Restorium's own API. Get a token with POST /tokens, and send it with each request as `Authorization: Bearer`. "
    "It is ended with DELETE /tokens/current, and by idling."
)
_JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"


class Problem(msgspec.Struct):
    """``code`` is stable across releases; ``hint`` is the remedy."""

    code: str
    message: str
    hint: str


class Error(msgspec.Struct):
    """What went wrong."""

    error: Problem


def write(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document of these operations and of the tokens, which are asked for before anybody is known."""
    given = {operation: get_type_hints(operation.function)["return"] for operation in operations}
    types = [Credentials, Token, Error, *(each.body for each in operations if each.body is not None)]
    types += [each for kind in given.values() for each in _kinds(kind) if not _is_content(each)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    shown = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {
        "/tokens": {
            "post": {
                **_described("POST", "/tokens", "A token for a name and a password.", ()),
                "security": [],
                "requestBody": _body(shown[Credentials]),
                "responses": _responses({"201": _content("The token.", shown[Token])}),
            }
        },
        "/tokens/current": {
            "delete": {
                **_described("DELETE", "/tokens/current", "End the token that the request carries.", ()),
                "responses": _responses({"204": {"description": "Done."}}),
            }
        },
    }
    for operation, kind in given.items():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, kind, shown)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Restorium: native API", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/v1"}],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {"Error": _content("What went wrong, and what to do about it.", shown[Error])},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, kind: Any, shown: dict[Any, Any]) -> dict[str, Any]:
    about = inspect.getdoc(operation.function) or ""
    made = _described(operation.method, operation.path, about, operation.query)
    made["x-roles"] = {"": sorted(operation.roles)}
    if operation.body is not None:
        made["requestBody"] = _body(shown[operation.body])
    answers: dict[str, Any] = {}
    for each in _kinds(kind):
        _add(answers, operation.status, each, shown)
    made["responses"] = _responses(answers or {str(operation.status): {"description": "Done."}})
    return made


def _kinds(kind: Any) -> Sequence[Any]:
    """What an operation may give: one type, or each of a union with a stream."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return [each for each in kinds if each is not type(None)]


def _add(answers: dict[str, Any], status: int, kind: Any, shown: dict[Any, Any]) -> None:
    """Add to the answers those with something of this type."""
    if not _is_content(kind):
        answers[str(status)] = _content("", shown[kind])
    elif streamed := getattr(kind, "media_types", ()):
        answer = answers.setdefault(str(status), {"description": inspect.getdoc(kind), "content": {}})
        answer["content"] |= {each: {} for each in streamed}
    else:
        content = {"description": "Content.", "content": {"application/octet-stream": {}}}
        answers |= {"200": content, "206": content}


def _described(method: str, path: str, about: str, query: Iterable[str]) -> dict[str, Any]:
    ids = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)", path)
    ]
    asked = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    return {
        "operationId": re.sub(r"[^A-Za-z0-9]+", "_", f"{method.lower()}{path}").strip("_"),
        "tags": [path.strip("/").split("/")[0]],
        "description": about,
        "parameters": ids + asked,
    }


def _responses(answers: dict[str, Any]) -> dict[str, Any]:
    return answers | {str(status): {"$ref": "#/components/responses/Error"} for status in sorted(STATUSES)}


def _content(about: str, schema: Any) -> dict[str, Any]:
    return {"description": about, "content": {_JSON: {"schema": schema}}}


def _body(schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _is_content(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Response)
