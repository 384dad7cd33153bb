"""Who gets into the native API, and how far."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.catalog import accounts
from restorium.catalog.database import Database
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import Settings
from restorium.vocabulary.roles import Role
from tests.support.clock import ManualClock
from tests.support.native import NativeClient

_NOBODY = "00000000-0000-4000-8000-000000000000"
_ALL = frozenset(Role)
_ADMINISTRATORS = frozenset({Role.PORTAL_ADMINISTRATOR})
_MONITORS = _ADMINISTRATORS | {Role.PORTAL_USER}
_RESTORERS = _ADMINISTRATORS | {Role.VM_RESTORE_OPERATOR}
_FILE_RESTORERS = _ADMINISTRATORS | {Role.FILE_RESTORE_OPERATOR}
_POINT_READERS = _MONITORS | _RESTORERS | _FILE_RESTORERS

_RULES = [
    ("GET", "/accounts", _ADMINISTRATORS),
    ("POST", "/accounts", _ADMINISTRATORS),
    ("DELETE", f"/accounts/{_NOBODY}", _ADMINISTRATORS),
    ("PUT", f"/accounts/{_NOBODY}/roles", _ADMINISTRATORS),
    ("GET", f"/accounts/{_NOBODY}/scope", _ADMINISTRATORS),
    ("PUT", f"/accounts/{_NOBODY}/scope", _ADMINISTRATORS),
    ("GET", "/hosts", _MONITORS),
    ("POST", "/hosts", _ADMINISTRATORS),
    ("DELETE", f"/hosts/{_NOBODY}", _ADMINISTRATORS),
    ("GET", f"/hosts/{_NOBODY}/vms", _ADMINISTRATORS),
    ("GET", "/repositories", _MONITORS),
    ("POST", "/repositories", _ADMINISTRATORS),
    ("DELETE", f"/repositories/{_NOBODY}", _ADMINISTRATORS),
    ("POST", f"/repositories/{_NOBODY}/verify", _ADMINISTRATORS),
    ("POST", f"/repositories/{_NOBODY}/prune", _ADMINISTRATORS),
    ("GET", f"/repositories/{_NOBODY}/stats", _ADMINISTRATORS),
    ("GET", f"/repositories/{_NOBODY}/keys", _ADMINISTRATORS),
    ("POST", f"/repositories/{_NOBODY}/keys", _ADMINISTRATORS),
    ("DELETE", f"/repositories/{_NOBODY}/keys/0", _ADMINISTRATORS),
    ("PUT", f"/repositories/{_NOBODY}/key", _ADMINISTRATORS),
    ("PUT", f"/repositories/{_NOBODY}/protection", _ADMINISTRATORS),
    ("GET", f"/repositories/{_NOBODY}/use", _MONITORS),
    ("GET", "/host-kinds", _ADMINISTRATORS),
    ("GET", "/restore-hosts", _RESTORERS),
    ("GET", f"/hosts/{_NOBODY}", _MONITORS),
    ("PATCH", f"/hosts/{_NOBODY}", _ADMINISTRATORS),
    ("PUT", f"/jobs/{_NOBODY}/vms", _ADMINISTRATORS),
    ("GET", "/jobs", _MONITORS),
    ("GET", f"/jobs/{_NOBODY}", _MONITORS),
    ("PATCH", f"/jobs/{_NOBODY}", _ADMINISTRATORS),
    ("DELETE", f"/jobs/{_NOBODY}", _ADMINISTRATORS),
    ("PUT", f"/jobs/{_NOBODY}/schedule", _ADMINISTRATORS),
    ("DELETE", f"/jobs/{_NOBODY}/schedule", _ADMINISTRATORS),
    ("PUT", f"/jobs/{_NOBODY}/retention", _ADMINISTRATORS),
    ("DELETE", f"/jobs/{_NOBODY}/retention", _ADMINISTRATORS),
    ("POST", f"/jobs/{_NOBODY}/vms", _ADMINISTRATORS),
    ("DELETE", f"/jobs/{_NOBODY}/vms/{_NOBODY}", _ADMINISTRATORS),
    ("POST", "/jobs", _ADMINISTRATORS),
    ("POST", f"/jobs/{_NOBODY}/start", _ADMINISTRATORS),
    ("POST", "/imports", _ADMINISTRATORS),
    ("GET", "/job-sessions", _MONITORS),
    ("GET", f"/job-sessions/{_NOBODY}", _MONITORS),
    ("GET", "/restore-points", _POINT_READERS),
    ("POST", f"/job-sessions/{_NOBODY}/cancel", _ADMINISTRATORS),
    ("GET", f"/restore-points/{_NOBODY}", _POINT_READERS),
    ("GET", "/vms", _POINT_READERS),
    ("POST", f"/restore-points/{_NOBODY}/files", _FILE_RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/files", _FILE_RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/files/content", _FILE_RESTORERS),
    ("DELETE", f"/restore-points/{_NOBODY}", _ADMINISTRATORS),
    ("DELETE", f"/restore-points/{_NOBODY}/files", _FILE_RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/hardware", _RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/disks", _RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/disks/0/extents", _RESTORERS),
    ("GET", f"/restore-points/{_NOBODY}/disks/0/data", _RESTORERS),
    ("POST", "/restores", _RESTORERS),
    ("GET", "/restore-sessions", _ALL),
    ("GET", f"/restore-sessions/{_NOBODY}", _ALL),
    ("POST", f"/restore-sessions/{_NOBODY}/cancel", _RESTORERS),
    ("GET", f"/restore-sessions/{_NOBODY}/evidence", _ALL),
    ("GET", "/drill-plans", _MONITORS | _RESTORERS),
    ("POST", "/drill-plans", _ADMINISTRATORS),
    ("GET", f"/drill-plans/{_NOBODY}", _MONITORS | _RESTORERS),
    ("PUT", f"/drill-plans/{_NOBODY}", _ADMINISTRATORS),
    ("DELETE", f"/drill-plans/{_NOBODY}", _ADMINISTRATORS),
    ("POST", f"/drill-plans/{_NOBODY}/run", _RESTORERS),
    ("GET", "/drill-runs", _ALL),
    ("GET", f"/drill-runs/{_NOBODY}", _ALL),
    ("POST", f"/drill-runs/{_NOBODY}/cancel", _RESTORERS),
    ("GET", f"/drill-runs/{_NOBODY}/report", _MONITORS | _RESTORERS),
    ("GET", "/drill-results", _ALL),
    ("GET", "/drills/report", _MONITORS | _RESTORERS),
    ("GET", "/vms/at-risk", _MONITORS | _RESTORERS | {Role.FILE_RESTORE_OPERATOR}),
    ("GET", "/evidence/key", _ALL),
    ("GET", "/evidence/keys", _ALL),
    ("GET", "/overview", _ALL),
    ("POST", "/evidence/keys", _ADMINISTRATORS),
    ("GET", "/webhooks", _ADMINISTRATORS),
    ("POST", "/webhooks", _ADMINISTRATORS),
    ("GET", f"/webhooks/{_NOBODY}", _ADMINISTRATORS),
    ("PATCH", f"/webhooks/{_NOBODY}", _ADMINISTRATORS),
    ("DELETE", f"/webhooks/{_NOBODY}", _ADMINISTRATORS),
    ("POST", f"/webhooks/{_NOBODY}/secret", _ADMINISTRATORS),
    ("POST", f"/webhooks/{_NOBODY}/test", _ADMINISTRATORS),
    ("GET", f"/webhooks/{_NOBODY}/deliveries", _ADMINISTRATORS),
    ("GET", "/audit", _ADMINISTRATORS),
    ("GET", "/audit/head", _ADMINISTRATORS),
    ("GET", "/audit/export", _ADMINISTRATORS),
]


@pytest.fixture
def engine(tmp_path: Path, sqlite_template: Path, clock: ManualClock) -> Iterator[Engine]:
    """An engine that runs no flows: access is decided before any would begin."""
    path = tmp_path / "restorium.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}", clock)
    with database.write() as connection:
        for role in Role:
            accounts.add(connection, role, "a password", roles={role}, restore_all=True)
        accounts.add(connection, "nothing", "a password", roles=(), restore_all=True)
    yield Engine(Settings(data=tmp_path / "data"), database, clock)
    database.close()


@pytest.fixture
def client(engine: Engine) -> NativeClient:
    return NativeClient(create(engine))


def test_each_role_gets_as_far_as_it_may(client: NativeClient) -> None:
    for role in Role:
        client.log_on(role, "a password")
        for method, path, allowed in _RULES:
            answer = client.request(method, path, json={})
            assert (answer.status_code == 403) == (role not in allowed), (role, method, path, answer.text)
            assert answer.status_code != 401


def test_account_without_roles_gets_nowhere(client: NativeClient) -> None:
    client.log_on("nothing", "a password")
    for method, path, _ in _RULES:
        assert client.request(method, path, json={}).status_code == 403


@pytest.mark.parametrize("credential", [None, "Bearer", "Bearer x", f"Bearer {_NOBODY}", "Basic YTpi"])
def test_without_a_token_nothing_is_told(client: NativeClient, credential: str | None) -> None:
    headers = {} if credential is None else {"Authorization": credential}
    for method, path, _ in _RULES:
        answer = client.request(method, path, headers, json={})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_token_ends_when_idle_and_lives_while_used(client: NativeClient, clock: ManualClock) -> None:
    client.log_on("Portal User", "a password")
    for _ in range(3):
        clock.advance(14 * 60)
        assert client.get("/hosts").status_code == 200
    clock.advance(16 * 60)
    assert client.get("/hosts").status_code == 401


def test_token_ends_when_given_back(client: NativeClient) -> None:
    client.log_on("Portal User", "a password")
    assert client.delete("/tokens/current").status_code == 204
    assert client.get("/hosts").status_code == 401


def test_token_ends_with_its_account(client: NativeClient, engine: Engine) -> None:
    user = NativeClient(create(engine)).log_on("Portal User", "a password")
    client.log_on("Portal Administrator", "a password")
    [account] = [item for item in client.get("/accounts").json()["items"] if item["name"] == "Portal User"]
    assert client.delete(f"/accounts/{account['id']}").status_code == 204
    assert user.get("/hosts").status_code == 401


def test_guessing_is_throttled_by_address_and_name(
    client: NativeClient, engine: Engine, clock: ManualClock
) -> None:
    elsewhere = NativeClient(create(engine), address="192.0.2.1")
    for _ in range(11):
        answer = client.post("/tokens", {"name": "Portal User", "password": "guess"})
        assert answer.status_code == 401
    assert client.post("/tokens", {"name": "Portal User", "password": "a password"}).status_code == 401
    assert elsewhere.post("/tokens", {"name": "Portal User", "password": "a password"}).status_code == 201
    clock.advance(61)
    assert client.post("/tokens", {"name": "Portal User", "password": "a password"}).status_code == 201


def test_nothing_shows_a_password(client: NativeClient) -> None:
    client.log_on("Portal Administrator", "a password")
    added = client.post("/accounts", {"name": "new", "password": "s3cret-value", "roles": ["Portal User"]})
    assert added.status_code == 201
    assert "s3cret-value" not in added.text + client.get("/accounts").text


def test_last_administrator_cannot_be_removed(client: NativeClient) -> None:
    client.log_on("Portal Administrator", "a password")
    [account] = [
        item for item in client.get("/accounts").json()["items"] if item["name"] == "Portal Administrator"
    ]
    refused = client.delete(f"/accounts/{account['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


def test_body_that_is_too_large_is_refused(client: NativeClient) -> None:
    answer = client.request("POST", "/tokens", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 400
    assert "larger" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name": 1, "password": "x"}', b"[" * 100_000]
)
def test_body_that_is_not_what_is_expected_is_refused(client: NativeClient, body: bytes) -> None:
    answer = client.request("POST", "/tokens", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid-input")


def test_unknown_path_and_method_are_answered_in_json(client: NativeClient) -> None:
    unknown = client.get("/nothing")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not-found")
    refused = client.delete("/hosts")
    assert (refused.status_code, refused.json()["error"]["code"]) == (405, "unsupported")
    assert {"GET", "POST"} <= {method.strip() for method in refused.headers["Allow"].split(",")}


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1001", "1e3", "٣", "9" * 5000])
def test_limit_out_of_bounds_is_named(client: NativeClient, limit: str) -> None:
    client.log_on("Portal User", "a password")
    answer = client.get(f"/restore-points?limit={limit}")
    assert answer.status_code == 400
    assert limit in answer.json()["error"]["message"]
