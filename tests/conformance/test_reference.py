"""The pages about the APIs: complete, of one's own only, and whatever stands in a document is only text in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from lxml import etree, html
from starlette.applications import Starlette
from starlette.routing import Mount

from restorium.em import app as em
from restorium.native import app as native
from restorium.reference import app as reference
from restorium.reference import examples
from tests.support.em import EmClient, Site, standing_site


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def pages(full: Site) -> Starlette:
    return reference.create({"em": lambda: em.describe(full.engine), "native": native.describe})


def _get(pages: Starlette, path: str) -> httpx.Response:
    async def send() -> httpx.Response:
        served = Starlette(routes=[Mount("/reference", pages)])
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
            return await client.get(f"/reference{path}")

    return asyncio.run(send())


@pytest.mark.parametrize("name", ["em", "native"])
def test_a_page_has_every_operation_and_type_and_loads_nothing_foreign(
    pages: Starlette, full: Site, name: str
) -> None:
    document = em.describe(full.engine) if name == "em" else native.describe()
    answer = _get(pages, f"/{name}")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'") and "unsafe" not in policy
    shown = html.fromstring(answer.text)
    known = {each.get("id") for each in shown.iter("details")}
    operations = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}
    assert known == operations | {f"type-{each}" for each in document["components"]["schemas"]}
    assert shown.xpath("//link/@href | //script/@src | //img/@src") == ["/reference/style.css"]
    assert not shown.xpath("//*[@style] | //style | //script")
    assert {each.removeprefix("#") for each in shown.xpath("//a/@href[starts-with(., '#')]")} <= set(
        shown.xpath("//@id")
    )


def test_the_beginning_leads_to_the_first_page_and_what_is_not_there_says_so(pages: Starlette) -> None:
    begun = _get(pages, "/")
    assert (begun.status_code, begun.headers["location"]) == (307, "/reference/em")
    assert _get(pages, "/style.css").headers["content-type"] == "text/css; charset=utf-8"
    assert _get(pages, "/nothing").status_code == 404


def test_what_a_document_says_is_only_text() -> None:
    evil = "<script>alert(1)</script>"
    described = {
        "info": {"title": evil, "description": evil},
        "servers": [{"url": "/x"}],
        "paths": {},
        "components": {"schemas": {evil: {"type": "object", "description": evil}}},
    }
    answer = _get(reference.create({"x": lambda: described}), "/x")
    assert "<script>" not in answer.text and "&lt;script&gt;" in answer.text


def test_examples_of_documents_are_valid(full: Site) -> None:
    document = em.describe(full.engine)
    schemas: dict[str, Any] = document["components"]["schemas"]
    compiled = etree.XMLSchema(etree.fromstring(EmClient(full.app).get("/schema.xsd").body))
    checked = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                schema = answer.get("content", {}).get("application/xml", {}).get("schema")
                for each in [] if schema is None else schema.get("anyOf", [schema]):
                    made = examples.value(each, schemas)
                    Draft202012Validator({**each, "components": document["components"]}).validate(made)
                    compiled.assertValid(etree.fromstring(examples.xml(each, schemas)))
                    checked += 1
    assert checked > 150
