"""The commands' client: lists that come in pages are read to where they were asked for."""

from __future__ import annotations

import httpx
import pytest

from restorium.cli.client import Client, error_of
from restorium.vocabulary.errors import InvalidInput

_ALL = list(range(25))


def _answer(request: httpx.Request) -> httpx.Response:
    """Ten at once at the most, as ``?limit=`` asks and ``after`` goes on."""
    asked = request.url.params
    start = int(asked.get("after", "0"))
    end = start + min(10, int(asked.get("limit", "10")))
    items = [{"number": number} for number in _ALL[start:end]]
    return httpx.Response(200, json={"items": items, "next": str(end) if end < len(_ALL) else None})


@pytest.mark.parametrize(("limit", "count"), [(None, 25), (7, 7), (10, 10), (12, 12), (25, 25), (1000, 25)])
def test_items_are_read_page_by_page(limit: int | None, count: int) -> None:
    http = httpx.Client(transport=httpx.MockTransport(_answer), base_url="https://test")
    found = Client(http, lambda: None).items("/numbers", limit=limit)
    assert [item["number"] for item in found] == _ALL[:count]


def test_errors_are_those_that_their_codes_name() -> None:
    class OfOneRoom(InvalidInput):
        def __init__(self, field: str) -> None:
            super().__init__(field)

    told = error_of({"code": "invalid-input", "message": "no", "hint": "write yes"})
    assert (type(told), told.message, told.hint) == (InvalidInput, "no", "write yes")
    assert OfOneRoom.code == InvalidInput.code
