"""What is done through either API is in the audit log, however it ends, and nothing secret with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restorium.catalog.database import Database
from restorium.flows import audit
from restorium.flows.audit import Content
from restorium.native import app as native
from restorium.vocabulary.roles import Role
from tests.support.clock import ManualClock
from tests.support.em import HEADER, JSON, PASSWORD, Site, basic, populate, site
from tests.support.native import NativeClient

_NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def full(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        made.add_account("monitor", [Role.PORTAL_USER])
        yield populate(made, clock)


@pytest.fixture
def client(full: Site) -> NativeClient:
    return NativeClient(native.create(full.engine), address="192.0.2.7").log_on("administrator", PASSWORD)


def _entries(full: Site) -> list[Content]:
    """All entries, which have to be a whole log, in their order."""
    with full.database.read() as connection:
        audit.verify(connection)
    return audit.page(full.engine, audit.Wanted(), before=None, limit=1000)[::-1]


def _told(entry: Content) -> tuple[Any, ...]:
    return entry.stage, entry.operation, entry.actor, entry.outcome


def test_act_through_the_native_api_is_recorded_before_and_after(full: Site, client: NativeClient) -> None:
    added = client.post("/accounts", {"name": "new", "password": "s3cret-value", "roles": ["Portal User"]})
    key = added.json()["id"]
    client.request("PUT", f"/accounts/{key}/password", json={"password": "s3cret-value"})
    client.delete(f"/accounts/{_NOBODY}")
    log_on, begun, ended, *others = _entries(full)
    assert _told(log_on) == ("done", "native POST /tokens", "administrator", "ok")
    assert _told(begun) == ("begun", "native POST /accounts", "administrator", None)
    assert _told(ended) == ("ended", "native POST /accounts", "administrator", "ok")
    assert (ended.begun, ended.made, ended.address) == (begun.number, key, "192.0.2.7")
    assert [_told(entry)[0::3] for entry in others] == [
        ("begun", None),
        ("ended", "ok"),
        ("begun", None),
        ("ended", "not-found"),
    ]
    assert [entry.subject for entry in others] == [(key,), (key,), (_NOBODY,), (_NOBODY,)]
    assert "s3cret-value" not in repr(_entries(full))


def test_act_through_the_enterprise_manager_api_is_recorded_with_what_became_of_its_task(full: Site) -> None:
    client = full.client()
    point = full.ids["VmRestorePoint"]
    started = client.post(f"/vmRestorePoints/{point}?action=restore")
    assert started.status == 202
    gone = client.post(f"/jobs/{full.ids['Job']}?action=stop")
    assert gone.status == 202
    unknown = client.delete(f"/jobs/{_NOBODY}")
    assert unknown.status == 404
    log_on, *acts = _entries(full)
    assert _told(log_on) == ("done", "em POST /sessionMngr", "administrator", "ok")
    restore = "em POST /vmRestorePoints/{ID}?action=restore"
    assert [_told(entry)[:2] for entry in acts[:2]] == [("begun", restore), ("ended", restore)]
    assert (acts[1].outcome, acts[1].subject) == ("ok", (str(point),))
    sessions = client.get("/restoreSessions", JSON).json["Refs"]
    assert f"urn:veeam:RestoreSession:{acts[1].made}" in [each["UID"] for each in sessions]
    assert acts[3].outcome not in (None, "ok")
    assert (acts[5].outcome, acts[5].subject) == ("not-found", (_NOBODY,))


def test_reads_are_not_recorded_and_downloads_are(full: Site, client: NativeClient) -> None:
    em = full.client()
    before = len(_entries(full))
    em.get("/jobs?format=Entity")
    client.get("/jobs")
    client.get("/audit")
    assert len(_entries(full)) == before
    path = f"/restore-points/{full.ids['VmRestorePoint']}/disks/0/data"
    for _ in range(3):  # as those do who fetch a disk in ranges
        client.request("GET", path, {"Range": "bytes=0-9"})
    entry = _entries(full)[-1]
    assert len(_entries(full)) == before + 1
    assert _told(entry) == (
        "done",
        "native GET /restore-points/{id}/disks/{number}/data",
        "administrator",
        "ok",
    )
    assert entry.subject == (str(full.ids["VmRestorePoint"]), "0")


@pytest.mark.slow
def test_refusals_are_recorded(full: Site) -> None:
    user = NativeClient(native.create(full.engine)).log_on("monitor", PASSWORD)
    assert user.post("/hosts", {}).status_code == 403
    assert full.client("monitor").delete(f"/jobs/{full.ids['Job']}").status == 403
    refused = [entry for entry in _entries(full) if entry.outcome == "access-denied"]
    assert [_told(entry)[:3] for entry in refused] == [
        ("done", "native POST /hosts", "monitor"),
        ("done", "em DELETE /jobs/{ID}", "monitor"),
    ]


@pytest.mark.slow
def test_failed_logons_are_recorded_until_they_are_too_many(full: Site) -> None:
    em = full.anonymous(address="192.0.2.9")
    client = NativeClient(native.create(full.engine), address="192.0.2.9")
    for _ in range(11):
        wrong = {"Authorization": basic("Monitor", "guess")}
        assert em.post("/sessionMngr/?v=latest", headers=wrong).status == 401
    assert client.post("/tokens", {"name": "s3cret-typed-here", "password": "x"}).status_code == 401
    entries = _entries(full)
    failed = [entry for entry in entries if entry.outcome == "not-authenticated"]
    assert [(entry.actor, entry.address) for entry in failed] == [
        *[("monitor", "192.0.2.9")] * 10,
        (None, "192.0.2.9"),
    ]
    assert "s3cret-typed-here" not in repr(entries)


@pytest.mark.slow
def test_logoffs_are_recorded_without_the_session_s_id(full: Site, client: NativeClient) -> None:
    em = full.client()
    session = em.get("/logonSessions", JSON).json["LogonSessions"][0]["SessionId"]
    assert em.delete(f"/logonSessions/{session}").status == 204
    assert client.delete("/tokens/current").status_code == 204
    off = [_told(entry) for entry in _entries(full)][-3:]
    assert off == [
        ("begun", "em DELETE /logonSessions/{ID}", "administrator", None),
        ("ended", "em DELETE /logonSessions/{ID}", "administrator", "ok"),
        ("done", "native DELETE /tokens/current", "administrator", "ok"),
    ]
    assert session not in repr(_entries(full))
    assert HEADER not in repr(_entries(full))


@pytest.mark.slow
def test_entries_are_paged_filtered_and_exported(full: Site, client: NativeClient) -> None:
    for _ in range(3):
        client.delete(f"/hosts/{_NOBODY}")
    first = client.get("/audit?limit=4").json()
    rest = client.get(f"/audit?limit=4&after={first['next']}").json()
    assert [entry["number"] for entry in first["items"] + rest["items"]] == [7, 6, 5, 4, 3, 2, 1]
    assert rest["next"] is None
    wanted = client.get("/audit?operation=native DELETE /hosts/{id}&actor=administrator").json()["items"]
    assert len(wanted) == 6
    assert client.get("/audit?since=2100-01-01").json() == {"items": [], "next": None}
    for wrong in ("since=soon", "after=x", "actor=%00"):
        assert client.get(f"/audit?{wrong}").status_code == 400
    lines = client.get("/audit/export").text.splitlines()
    assert [json.loads(json.loads(line)["content"])["number"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert json.loads(lines[-1])["hash"] == client.get("/audit/head").json()["hash"]
    table = client.get("/audit/export?format=csv").text.splitlines()
    assert table[0].startswith("number,at,stage,")
    assert len(table) == 8


def test_act_is_not_done_when_it_cannot_be_recorded(
    full: Site, client: NativeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(audit, "begin", broken)
    assert client.post("/accounts", {"name": "new", "password": "x", "roles": []}).status_code == 500
    monkeypatch.undo()
    assert "new" not in client.get("/accounts").text
