"""Requests and answers of the native API as bytes and as values."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from restorium.native.errors import respond
from restorium.vocabulary.errors import InvalidInput, RestoriumError

_BODY_BYTES = 1024 * 1024
_MOST_DIGITS = 19
"""Of a number that can be meant; Python refuses to read those of thousands of digits."""

_BLANK_FOR_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$")
"""A time and the offset of its zone, where a + was not escaped in the query."""

T = TypeVar("T")

Endpoint = Callable[[Request], Awaitable[Response]]


class Items(msgspec.Struct, Generic[T]):
    """A collection, or as much of it as was asked for."""

    items: list[T]


async def read(request: Request) -> bytes:
    """The request's body. Raises InvalidInput as soon as it is larger than 1 MiB."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _BODY_BYTES:
            raise InvalidInput(f"the request's body is larger than {_BODY_BYTES} bytes")
    return bytes(content)


def whole(text: str, least: int, most: int) -> int | None:
    """A number of ASCII digits from ``least`` to ``most``; None if the text is none."""
    if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
        return None
    return int(text) if least <= int(text) <= most else None


def moment(name: str, text: str) -> datetime:
    """The moment that a parameter names, UTC unless it says otherwise. Raises InvalidInput."""
    try:
        found = datetime.fromisoformat(_BLANK_FOR_PLUS.sub(r"\1+\2", text))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}={text} is no moment", hint="Write it as in RFC 3339, such as 2026-11-24T21:15:00Z."
        ) from None


def decode(content: bytes, kind: type[T]) -> T:
    """The JSON of a request as ``kind``. Raises InvalidInput naming the member that is wrong."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the request's body is not what is expected: {error}") from None


def show(found: object, kind: type[T]) -> T:
    """What the catalog or a flow gave, as the API shows it: members are taken by name."""
    return msgspec.convert(found, kind, from_attributes=True)


def encode(value: Any, status: int) -> Response:
    """An answer; without a body for None."""
    if value is None:
        return Response(status_code=status)
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def guarded(endpoint: Endpoint) -> Endpoint:
    """``endpoint`` with the errors it raises turned into answers."""

    async def run(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RestoriumError as error:
            return respond(error)

    return run
