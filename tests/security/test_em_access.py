"""What an account may not see is nowhere: in lists, counts, pages, links, documents by id, and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from restorium.catalog import accounts, repositories
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.em.routing import Route
from restorium.vocabulary.errors import DatabaseUnavailable
from restorium.vocabulary.roles import Role
from tests.support.em import (
    FACTS,
    HEADER,
    JSON,
    PASSWORD,
    EmClient,
    Recorded,
    Site,
    allowed,
    basic,
    record_restores,
    standing_site,
)

_CUT = (
    "Backup",
    "BackupFile",
    "BackupJobSession",
    "BackupTaskSession",
    "RestorePoint",
    "RestoreSession",
    "VmRestorePoint",
)
_VM_BOUND = ("BackupTaskSession", "RestoreSession", "VmRestorePoint")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    """An estate, of which ``operator`` and ``monitor`` may see one VM of one host."""
    with standing_site(request, request.param) as made:
        own = [Scope(made.vms[0].host_id, made.vms[0].vm_ref)]
        made.add_account("operator", [Role.VM_RESTORE_OPERATOR], own)
        made.add_account("monitor", [Role.PORTAL_USER], own)
        made.add_account("both", [Role.VM_RESTORE_OPERATOR, Role.PORTAL_USER], own)
        made.add_account("outsider", [Role.VM_RESTORE_OPERATOR], [])
        made.add_account("nothing", [])
        yield made


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record_restores(monkeypatch)


def _all(client: EmClient, kind: str) -> list[dict[str, Any]]:
    answer = client.get(f"/{FACTS['types'][kind]['path']}?format=Entity", JSON)
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json[FACTS["types"][kind]["plural"]]
    return found


def _hidden(full: Site, kind: str) -> list[dict[str, Any]]:
    """What of a kind only the administrator sees."""
    seen = {each["UID"] for each in _all(full.client("both"), kind)}
    hidden = [each for each in _all(full.client(), kind) if each["UID"] not in seen]
    assert hidden and seen, kind
    return hidden


def _crawled(client: EmClient) -> dict[str, str]:
    """Every document that links lead to, from the logon session on, in both formats."""
    found: dict[str, str] = {}
    waiting = [f"{client.base}/logonSessions"]
    while waiting:
        href = waiting.pop()
        if href in found or "action=" in href:
            continue
        answer = client.follow(href, JSON)
        found[href] = answer.text + client.follow(href).text
        if answer.status == 200:
            waiting += _hrefs(answer.json)
    return found


def _hrefs(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        if told.get("Href") and told.get("Rel") != "Create":
            yield told["Href"]
        for value in told.values():
            yield from _hrefs(value)
    elif isinstance(told, list):
        for each in told:
            yield from _hrefs(each)


def test_links_lead_to_nothing_of_other_vms(full: Site) -> None:
    found = _crawled(full.client("operator"))
    assert len(found) > 10
    secret = [each["UID"][-36:] for kind in _CUT for each in _hidden(full, kind)]
    for href, text in found.items():
        for word in ("east 2", "west", *secret):
            assert word not in text, (href, word)
        assert "Error" not in text or "may not GET" in text, (href, text)


def test_monitor_sees_runs_with_own_vms_and_of_other_vms_nothing(full: Site) -> None:
    found = _crawled(full.client("monitor"))
    assert any("job east@" in text for text in found.values())
    hidden = [each["UID"][-36:] for kind in _CUT for each in _hidden(full, kind)]
    for href, text in found.items():
        for word in ("east 2", "job west", "west 1", "west 2", *hidden):
            assert word not in text, (href, word)


def test_lists_counts_and_pages_agree(full: Site) -> None:
    client = full.client("both")
    for kind in _CUT:
        seen = _all(client, kind)
        path = FACTS["types"][kind]["path"]
        paged = client.get(f"/{path}?pageSize=1&page=1", JSON).json
        assert paged["PagingInfo"]["PagesCount"] == len(seen)
        assert len(paged["Refs"]) == 1
        asked = client.get(f"/query?type={kind}&format=Entities&pageSize=1000", JSON).json
        slot = asked["Entities"][FACTS["types"][kind]["plural"]][FACTS["types"][kind]["plural"]]
        assert [each["UID"] for each in slot] == [each["UID"] for each in seen]
        assert asked["PagingInfo"]["PagesCount"] == 1
        beyond = client.get(f"/{path}?pageSize=1&page={len(seen) + 1}", JSON).json
        assert beyond["Refs"] == []
        if kind in _VM_BOUND:
            assert {each["VmDisplayName"] for each in seen} == {"east 1 & <co>"}


def test_filters_and_order_tell_nothing_of_other_vms(full: Site) -> None:
    client = full.client("both")
    for kind in _CUT:
        for hidden in _hidden(full, kind):
            for condition in (f"UID=={hidden['UID']}", 'Name!="x",Name==x', f"UID=={hidden['UID']},Name!=x"):
                answer = client.get(f"/query?type={kind}&filter={condition}&sortDesc=Name", JSON)
                assert answer.status == 200
                assert hidden["UID"] not in answer.text
            assert (
                client.get(f"/query?type={kind}&filter=UID=={hidden['UID']}", JSON).json["Refs"]["Refs"] == []
            )


def test_hidden_is_answered_like_what_is_not_there(full: Site, recorded: Recorded) -> None:
    client = full.client("both")
    for kind in _CUT:
        path = FACTS["types"][kind]["path"]
        for hidden in _hidden(full, kind):
            own = hidden["UID"][-36:]
            below = [
                each["Href"].removeprefix(client.base).replace(own, "{}")
                for each in hidden["Links"]
                if f"/{path}/{own}/" in each["Href"]
            ]
            for tail in (f"/{path}/{{}}", f"/{path}/{{}}?format=Entity", *below):
                other = str(uuid4())
                there, nowhere = client.get(tail.format(own)), client.get(tail.format(other))
                assert there.status == nowhere.status in (404, 403)
                assert there.text == nowhere.text.replace(other, own)
            if kind == "VmRestorePoint":
                answer = client.post(f"/{path}/{own}?action=restore")
                assert answer.status == 404
                assert hidden["Name"] not in answer.text
    assert recorded.specs == []


def test_own_vm_can_be_restored_and_its_session_seen(full: Site, recorded: Recorded) -> None:
    client = full.client("operator")
    [point, *_] = _all(client, "VmRestorePoint")
    assert client.post(f"/vmRestorePoints/{point['UID'][-36:]}?action=restore").status == 202
    related = client.get("/tasks/task-1", JSON).json["Links"][0]
    assert client.follow(related["Href"], JSON).json["VmDisplayName"] == "east 1 & <co>"
    assert full.client("outsider").follow(related["Href"]).status == 404


def test_without_a_scope_everything_is_empty(full: Site) -> None:
    client = full.client("outsider")
    for kind in ("Backup", "RestorePoint", "RestoreSession", "VmRestorePoint"):
        assert _all(client, kind) == []


def test_changed_scope_and_roles_count_at_the_next_request(full: Site) -> None:
    account = full.add_account("changing", [Role.VM_RESTORE_OPERATOR], [])
    client = full.client("changing")
    assert _all(client, "VmRestorePoint") == []
    with full.database.write() as connection:
        accounts.set_scopes(connection, account, [Scope(full.vms[2].host_id)])
    assert {each["VmDisplayName"] for each in _all(client, "VmRestorePoint")} == {
        "west 1 & <co>",
        "west 2 & <co>",
    }
    with full.database.write() as connection:
        accounts.set_roles(connection, account, [Role.SQL_RESTORE_OPERATOR])
    assert client.get("/vmRestorePoints").status == 403
    with full.database.write() as connection:
        accounts.set_password(connection, account, "another password")
    assert client.get("/tasks").status == 401


def test_account_without_roles_gets_nowhere(full: Site) -> None:
    client = full.client("nothing")
    for facts in FACTS["types"].values():
        assert client.get(f"/{facts['path']}").status == 403
    for path in ("/querySvc", "/tasks", "/logonSessions"):
        assert client.get(path).status == 403


# What errors may not say


def test_errors_do_not_repeat_secrets(full: Site) -> None:
    anonymous = full.anonymous()
    refused = anonymous.post("/sessionMngr/", headers={"Authorization": basic("administrator", "my-guess")})
    assert refused.status == 401
    assert "my-guess" not in refused.text
    token = full.client().token or ""
    unknown = anonymous.get("/tasks", {HEADER: token[::-1]})
    assert unknown.status == 401
    assert token[::-1] not in unknown.text
    client = full.client()
    for path in ("/nothing", "/tasks/task-99", "/jobs?filter=(", "/restoreSessions/x"):
        answer = client.get(path)
        assert str(client.token) not in answer.text and PASSWORD not in answer.text
        assert all(word not in answer.text for word in ("Traceback", ".py", "SELECT"))


def test_logon_is_not_told_whether_the_name_exists(full: Site) -> None:
    answers = [
        full.anonymous(address="192.0.2.50").post(
            "/sessionMngr/", headers={"Authorization": basic(name, "guess")}
        )
        for name in ("administrator", "nobody at all")
    ]
    assert answers[0].text == answers[1].text


def test_guessing_is_throttled_by_address(full: Site) -> None:
    def status(address: str, password: str) -> int:
        header = {"Authorization": basic("monitor", password)}
        return full.anonymous(address=address).post("/sessionMngr/", headers=header).status

    assert [status("192.0.2.66", "guess") for _ in range(12)] == [401] * 12
    assert status("192.0.2.66", PASSWORD) == 401
    assert status("192.0.2.67", PASSWORD) == 201


def test_unexpected_failure_says_nothing_of_itself(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = full.client()

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("the key is hunter2")

    monkeypatch.setattr(repositories.listing, "stream", broken)
    monkeypatch.setattr(repositories.listing, "one", broken)
    for path in ("/repositories", "/repositories?format=Entity", f"/repositories/{full.ids['Repository']}"):
        for headers in ({}, JSON):
            answer = client.get(path, headers)
            assert (answer.status, "hunter2" in answer.text) == (500, False)
            assert "server's log" in answer.message


def test_database_that_fails_is_told_as_503(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = full.client()

    def gone(*_: object, **__: object) -> object:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(Database, "read", gone)
    answer = client.get("/repositories")
    assert (answer.status, "does not answer" in answer.message) == (503, True)


def test_secrets_of_the_estate_are_in_no_document(full: Site) -> None:
    """Of repositories neither the key nor the URL, of points not their names in the vault."""
    for href, text in _crawled(full.client()).items():
        for word in ("sealed", "file:///srv", "requested_by", "manifest"):
            assert word not in text, href
    with full.database.read() as connection:
        assert repositories.get(connection, full.ids["Repository"]).secret == b"sealed"


def test_ids_of_other_kinds_lead_nowhere(full: Site) -> None:
    client = full.client()
    for kind, facts in FACTS["types"].items():
        for other, own in full.ids.items():
            if other != kind and full.ids[kind] != own:
                assert client.get(f"/{facts['path']}/{own}").status == 404, (kind, other)


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children.values():
        yield from _nodes(child)


def _routes(full: Site) -> list[Route]:
    """Every route that the face serves to those who are logged on."""
    face: Any = full.app
    found = [
        route
        for node in _nodes(face._router._root)
        for by_action in node.routes.values()
        for route in by_action.values()
    ]
    return sorted(found, key=lambda route: (route.path, route.method, route.action or ""))


def _written(route: Route) -> str:
    """The path as the reference's list of roles has it."""
    path = re.sub(r"\{(?!filepath)\w*\}", "{ID}", route.path.rstrip("/"))
    return f"{path}?action={route.action}" if route.action else path


_SILENT = {
    "/backupServers/{ID}/managedServers",
    "/backupServers/{ID}/repositories",
    "/cloud",
    "/lookup",
    "/query",
    "/systemSessions",
    "/systemSessions/{ID}",
    "/systemSessions/{ID}/events",
}
"""Open to some, though the reference's lists say nothing of them."""


def _fact(role: Role, route: Route) -> bool | None:
    """What the reference says; reading with an action is reading."""
    path = _written(route)
    fact = allowed(role, route.method, path)
    return allowed(role, "GET", path.partition("?")[0]) if fact is None and route.method == "GET" else fact


@pytest.mark.slow
def test_each_route_is_open_to_whom_the_reference_says_and_nobody_else(full: Site) -> None:
    """By what is answered to a path of ids that name nothing, whatever the number of its segments."""
    clients: dict[Role, EmClient] = {}
    for role in set(Role) - {Role.PORTAL_ADMINISTRATOR}:
        full.add_account(f"only {role}", [role])
        clients[role] = full.client(f"only {role}")
    deep, told, silent = set(), 0, set()
    for route in _routes(full):
        if route.path.startswith(("/logonSessions", "/sessionMngr")):
            continue  # everybody's own
        asked = _written(route).replace("{filepath}", "C/file")
        while "{ID}" in asked:
            asked = asked.replace("{ID}", str(uuid4()), 1)
        deep |= {route.path} if asked.count("/") > 4 else set()
        for role, client in clients.items():
            status, fact = client.request(route.method, asked).status, _fact(role, route)
            assert status != 401
            may = role in route.roles
            assert (status != 403) == may, (role, route.method, asked, status)
            assert fact in (None, may), (role, route.method, asked)
            told += fact is not None
            silent |= {route.path} if fact is None and may else set()
    assert silent == _SILENT
    assert len(deep) > 10 and told > 1000
