"""Whatever the OpenAPI documents allow, and what they do not: no face fails over it, each answer is documented.

RESTORIUM_FUZZ_EXAMPLES sets how many requests each operation gets; docs/architecture.md says what they cost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from starlette.types import ASGIApp

from restorium.native import app as native
from tests.conformance.test_openapi import validator
from tests.support.em import HEADER, PASSWORD, Site, standing_site
from tests.support.native import NativeClient

pytestmark = pytest.mark.slow
_EXAMPLES = int(os.environ.get("RESTORIUM_FUZZ_EXAMPLES", "2"))
_HOPELESS = {"host", "content-length", "transfer-encoding", "connection"}


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(params=["em", "native"])
def face(request: pytest.FixtureRequest, full: Site) -> tuple[str, ASGIApp, dict[str, str]]:
    """A prefix, the application, and headers of somebody who may do everything."""
    if request.param == "em":
        return "/api", full.app, {HEADER: str(full.client().token)}
    app = native.create(full.engine)
    token = NativeClient(app).log_on("administrator", PASSWORD).token
    return "", app, {"Authorization": f"Bearer {token}"}


def test_every_operation_answers_as_documented(face: tuple[str, ASGIApp, dict[str, str]], full: Site) -> None:
    prefix, app, headers = face
    document = _get(app, f"{prefix}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    tried, endless = [], []
    for result in schema.get_all_operations():
        operation: Any = result.ok()
        if operation.method.upper() == "DELETE" and "okens/current" in operation.path:
            continue  # would end what all others need
        told = document["paths"][operation.path][operation.method.lower()]
        if "text/event-stream" in told["responses"].get("200", {}).get("content", {}):
            endless.append(operation.path)  # tests/unit/test_native_session_events.py has what it answers
            continue
        for case in _cases(operation, full):
            _ask(app, prefix, headers, case, document, told)
            tried.append(operation.path)
    assert len({*tried, *endless}) >= len(document["paths"]) - 1
    assert len(endless) <= 6


def _cases(operation: Any, full: Site) -> list[Any]:
    """Requests that the operation's description allows, and some that it does not; most are for what there is."""
    found: list[Any] = []

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        key = data.draw(st.sampled_from([*map(str, full.ids.values()), None]))
        if key is not None:
            case.path_parameters = dict.fromkeys(case.path_parameters or {}, key)
        found.append(case)

    draw()
    return found


def _ask(app: ASGIApp, prefix: str, headers: dict[str, str], case: Any, document: Any, told: Any) -> None:
    sent = case.as_transport_kwargs(base_url=f"https://127.0.0.1:9398{prefix}")
    given = {
        name: value for name, value in (sent.get("headers") or {}).items() if name.lower() not in _HOPELESS
    }
    sent["headers"] = {"Accept": "application/json", **given, **headers}
    sent.pop("cookies", None)
    try:
        answer = _send(app, **sent)
    except (httpx.InvalidURL, UnicodeEncodeError, httpx.LocalProtocolError):
        return  # nothing that a client could send
    asked = (
        f"{case.method} {answer.request.url} {answer.request.content!r} -> {answer.status_code} {answer.text}"
    )
    taken = answer.status_code == 500 and "no backup task with id" in answer.text
    assert taken or answer.status_code != 500, asked
    assert str(answer.status_code) in told["responses"], asked
    if answer.headers.get("content-type") == "application/json":
        validator(document, told, answer.status_code).validate(answer.json())


def _get(app: ASGIApp, path: str) -> httpx.Response:
    return _send(app, method="GET", url=f"https://127.0.0.1:9398{path}")


def _send(app: ASGIApp, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            return await asyncio.wait_for(client.request(**request), 10)

    return asyncio.run(send())
