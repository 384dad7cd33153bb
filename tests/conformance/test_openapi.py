"""The OpenAPI documents of both faces: valid, complete, and what real answers are like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from restorium.catalog.database import Database
from restorium.em.entity import entities
from restorium.native import app as native
from tests.support.clock import ManualClock
from tests.support.em import JSON, PASSWORD, EmClient, Site, populate, site, standing_site
from tests.support.native import NativeClient


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def em(full: Site) -> Any:
    return EmClient(full.app).get("/openapi.json").json


@pytest.fixture(scope="module")
def of_native(full: Site) -> Any:
    return NativeClient(native.create(full.engine)).get("/openapi.json").json()


def test_both_are_valid(em: Any, of_native: Any) -> None:
    for document in (em, of_native):
        assert document["openapi"].startswith("3.1")
        OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_in_the_document_and_the_other_way_round(full: Site, em: Any) -> None:
    routes: list[Any] = full.app._router.routes  # type: ignore[attr-defined]
    served = {(route.method.lower(), _blank(route.path), getattr(route, "action", None)) for route in routes}
    assert len(served) > 150
    written = set()
    for path, methods in em["paths"].items():
        for method, operation in methods.items():
            [action] = [each for each in operation["parameters"] if each["name"] == "action"] or [None]
            actions = [] if action is None else action["schema"]["enum"]
            plain = [] if action is not None and action["required"] else [None]
            written |= {(method, _blank(path), each) for each in [*actions, *plain]}
    assert written == served


def test_every_route_that_does_something_says_what_it_answers() -> None:
    for kind in entities():
        for do in kind.operations():
            assert bool(do.run) == bool(do.gives), f"{do.rel} of {kind.type} does it, or says so"
        for down in kind.lists():
            assert bool(down.serve) == bool(down.gives), f"{down.path} of {kind.type} is served, or says so"


def test_every_operation_of_the_native_api_is_in_its_document(full: Site, of_native: Any) -> None:
    served = {
        (method.lower(), route.path)  # type: ignore[attr-defined]
        for route in native.create(full.engine).routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    written = {(method, path) for path, methods in of_native["paths"].items() for method in methods}
    assert written == served - {("get", "/openapi.json")}


def _blank(path: str) -> str:
    return re.sub(r"\{ID\d*\}", "{ID}", path.rstrip("/"))


@pytest.mark.slow
@pytest.mark.parametrize("camel", [False, True])
def test_answers_of_the_enterprise_manager_face_are_as_written(
    database: Database, tmp_path: Path, clock: ManualClock, camel: bool
) -> None:
    with site(database, tmp_path, clock, em={"json_camel_case": camel}) as made:
        client = populate(made, clock).client()
        document = client.get("/openapi.json").json
        seen = set()
        for path, methods in document["paths"].items():
            if "get" not in methods or "filepath" in path or path == "/openapi.json":
                continue
            for asked in _askable(made, path):
                for form in ("", "?format=Entity"):
                    answer = client.get(f"{asked}{form}", JSON)
                    _check(document, methods["get"], answer.status, answer)
                    seen.add((path, answer.status))
        for kind in ("Job", "ObjectInJob", "Task"):
            for form in ("", "&format=Entity", "&pageSize=1"):
                answer = client.get(f"/query?type={kind}{form}", JSON)
                _check(document, document["paths"]["/query"]["get"], answer.status, answer)
        assert len([path for path, status in seen if status == 200]) > 90


def _check(document: Any, operation: Any, status: int, answer: Any) -> None:
    if answer.header("Content-Type") != "application/json":
        return
    validator(document, operation, status).validate(answer.json)


def validator(document: Any, operation: Any, status: int) -> Draft202012Validator:
    """Of the JSON that an operation answers with a status."""
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"].get("schema", {})
    return Draft202012Validator({**schema, "components": document["components"]})


def _askable(made: Site, path: str) -> Iterator[str]:
    """The path with an id of the estate for its first, and as it is where there is none."""
    if "{ID}" not in path:
        yield path
        return
    if "{ID2}" in path:
        return
    for key in made.ids.values():
        yield path.replace("{ID}", str(key))


def test_answers_of_the_native_api_are_as_written(full: Site, of_native: Any) -> None:
    client = NativeClient(native.create(full.engine)).log_on("administrator", PASSWORD)
    for path, methods in of_native["paths"].items():
        if "get" not in methods or "text/event-stream" in str(methods["get"]):
            continue  # the latter does not end
        for key in full.ids.values() if "{id}" in path else [""]:
            answer = client.get(path.replace("{id}", str(key)).replace("{number}", "0"))
            if answer.headers.get("content-type") == "application/json":
                validator(of_native, methods["get"], answer.status_code).validate(answer.json())
    refused = client.post("/jobs", {"name": 3})
    validator(of_native, of_native["paths"]["/jobs"]["post"], refused.status_code).validate(refused.json())
