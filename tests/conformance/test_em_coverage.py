"""How much of the documented interface there is: every endpoint is backed, empty by design, or refused by design.

What each is follows from its route's declaration, and is held against what a request to it answers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restorium.em.app import routed
from restorium.em.entity import Entity, entities
from restorium.em.parts import Part, parts
from restorium.em.routing import Router, Serves
from tests.support.em import FACTS, JSON, EmClient, Site, standing_site

ENDPOINTS: list[str] = json.loads((Path(__file__).parent.parent / "facts" / "em-endpoints.json").read_text())[
    "endpoints"
]
_GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def classes(full: Site) -> dict[str, Serves | None]:
    router = routed(full.engine)
    return {endpoint: _class(router, endpoint) for endpoint in ENDPOINTS}


def _class(router: Router, endpoint: str) -> Serves | None:
    """What the endpoint's route is declared to lead to; None if there is no such route."""
    method, _, place = endpoint.partition(" ")
    path, _, query = place.partition("?")
    found = router.find([segment.replace("{ID}", _GUID) for segment in path.split("/") if segment])
    if found is None:
        return None
    if path == "/query":
        return _class_of_query(query.removeprefix("type="))
    if method in found.open:
        return Serves.CONTENT
    action = query.removeprefix("action=").lower() if query.startswith("action=") else None
    route = found.routes.get(method, {}).get(action)
    return None if route is None else route.serves


def _class_of_query(kind: str) -> Serves | None:
    known: dict[str, Any] = {each.type.lower(): each for each in (*entities(), *parts())}
    if kind.lower() == "task":
        return Serves.CONTENT
    if kind.lower() not in known:
        return None
    return Serves.NOTHING if _never(known[kind.lower()]) else Serves.CONTENT


def _never(kind: type[Entity] | Part) -> bool:
    return kind.shape is None if isinstance(kind, Part) else kind.absent


def test_every_documented_endpoint_is_there(classes: dict[str, Serves | None]) -> None:
    count = Counter(classes.values())
    print(
        f"{len(ENDPOINTS)} documented endpoints: {count[Serves.CONTENT]} backed, {count[Serves.NOTHING]} empty by"
        f" design, {count[Serves.REFUSAL]} refused by design (501), {count[None]} missing"
    )
    assert len(set(ENDPOINTS)) == 349
    assert [endpoint for endpoint, serves in classes.items() if serves is None] == []
    assert count[Serves.CONTENT] >= 120


def test_endpoints_of_backup_servers_are_backed(classes: dict[str, Serves | None]) -> None:
    of_servers = {
        endpoint: serves
        for endpoint, serves in classes.items()
        if endpoint.split()[1].startswith("/backupServers")
    }
    assert len(of_servers) == 19
    assert {endpoint for endpoint, serves in of_servers.items() if serves is not Serves.CONTENT} == {
        "POST /backupServers?action=create",
        "DELETE /backupServers/{ID}",
        "GET /backupServers/{ID}/externalRepositories",
    }


def test_requests_are_answered_as_their_routes_declare(full: Site, classes: dict[str, Serves | None]) -> None:
    client = full.client()
    for endpoint, serves in classes.items():
        method, _, place = endpoint.partition(" ")
        if serves is Serves.CONTENT or serves is None:
            continue
        answer = client.request(method, _asked(full, place), JSON)
        if serves is Serves.REFUSAL:
            assert answer.status == 501, (endpoint, answer.text)
        elif answer.status == 200:
            assert _is_empty(answer.json), (endpoint, answer.text)
        else:
            assert answer.status == 404 and "{" in place, (endpoint, answer.text)


def test_what_is_backed_has_something_to_show(full: Site, classes: dict[str, Serves | None]) -> None:
    """A list that is always empty may not be declared as content."""
    client = full.client()
    _keep_secrets(client, full)
    assert client.post(f"/backupServers/{full.ids['BackupServer']}?action=collect").status == 202  # a task
    for endpoint, serves in classes.items():
        method, _, place = endpoint.partition(" ")
        if method == "GET" and serves is Serves.CONTENT and place.count("{ID}") <= 1 and "{f" not in place:
            answer = client.get(_asked(full, place), JSON)
            if answer.status == 200:
                assert not _is_empty(answer.json) or "/mounts" in place, (endpoint, answer.text)


def _keep_secrets(client: EmClient, full: Site) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("credentials", "passwords"):
        body = b'{"Username": "jo", "Password": "x"}' if path == "credentials" else b'{"Password": "x"}'
        where = f"/backupServers/{full.ids['BackupServer']}/{path}?action=create"
        assert client.post(where, body, headers).status == 201


def _asked(full: Site, place: str) -> str:
    kinds = {facts["path"].lower(): kind for kind, facts in FACTS["types"].items()}
    kind = kinds.get(place.split("/")[1].partition("?")[0].lower())
    own = _GUID if kind is None else str(full.ids[kind])
    asked = place.replace("{ID}", own, 1).replace("{ID}", _GUID).replace("{filepath}", "C:")
    return asked.replace("{hostUID}", str(full.ids["HierarchyRoot"]))


def _is_empty(told: Any) -> bool:
    """Whether a document holds no items: of lists and queries every list is empty."""
    if isinstance(told, dict):
        return all(_is_empty(value) for name, value in told.items() if name not in ("PagingInfo", "Links"))
    return told in (None, [])
