"""Lists of the native API page by page: nothing twice, nothing left out, filtered, in order, and cut by scope."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from restorium.catalog import accounts, drill_runs, drill_vms, job_sessions, points
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Visibility
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import Settings
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point
from tests.support.native import NativeClient

pytestmark = pytest.mark.slow

PASSWORD = "a password"


class Here:
    """Two jobs of a VM each on hosts of their own, with seven points and runs each; the last run is not over."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine = engine
        self.jobs: list[UUID] = []
        self.hosts: list[UUID] = []
        for name in ("web", "db"):
            with engine.database.write() as connection:
                host = add_host(connection, f"host of {name}")
                vm = JobVm(host.id, f"ref-{name}", name)
                job = add_job(connection, [vm], name)
                for number in range(7):
                    at = START + timedelta(minutes=number)
                    record_point(connection, job, [vm], uuid4(), at)
            self.jobs.append(job.id)
            self.hosts.append(host.id)
            for number in range(7):
                self._run(job.id, number)
                clock.advance(60)
        with engine.database.write() as connection:
            accounts.add(connection, "admin", PASSWORD, roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True)
            clerk = accounts.add(connection, "clerk", PASSWORD, roles={Role.PORTAL_USER}, restore_all=False)
            accounts.set_scopes(connection, clerk.id, [Scope(self.hosts[1], "ref-db")])

    def _run(self, job_id: UUID, number: int) -> None:
        with self.engine.database.write() as connection:
            made = job_sessions.create(connection, job_id, Caller(f"user{number % 2}", None))
            job_sessions.advance(connection, made.id, SessionState.WORKING)
            if number < 6:
                bad = number == 0
                result = SessionResult.FAILED if bad else SessionResult.SUCCESS
                reason: dict[str, Any] = {"reason_code": "host", "reason": "no"} if bad else {}
                job_sessions.advance(connection, made.id, SessionState.STOPPED, result=result, **reason)

    def client(self, name: str = "admin") -> NativeClient:
        return NativeClient(create(self.engine)).log_on(name, PASSWORD)


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Here:
    return Here(Engine(Settings(data=tmp_path / "data"), database, clock), clock)


def _all(client: NativeClient, path: str, query: str = "", limit: int = 3) -> list[dict[str, Any]]:
    """Page by page; no item is on two."""
    found, after = [], ""
    while True:
        answer = client.get(f"{path}?limit={limit}{after or '&' + query}")
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            keys = [item.get("id") or item["number"] for item in found]
            assert len(set(keys)) == len(keys)
            return found
        assert len(answer.json()["items"]) == limit
        after = f"&after={answer.json()['next']}"


def test_points_are_paged_in_order_and_filtered(here: Here) -> None:
    client = here.client()
    newest = _all(client, "/restore-points")
    assert len(newest) == 14
    made = [item["created_at"] for item in newest]
    assert made == sorted(made, reverse=True)
    assert _all(client, "/restore-points", "sort=created_at", limit=1) == newest[::-1]
    names = [item["vm_name"] for item in _all(client, "/restore-points", "sort=vm_name")]
    assert names == ["db"] * 7 + ["web"] * 7
    for query, count in (
        ("vm=WEB", 7),
        ("vm=we", 0),
        (f"job={here.jobs[1]}", 7),
        (f"host_id={here.hosts[0]}&vm_ref=ref-web", 7),
        (f"host_id={here.hosts[0]}&vm_ref=ref-db", 0),
        (f"since={START + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}", 10),
        (f"vm=db&until={START + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}", 2),
    ):
        assert len(_all(client, "/restore-points", query)) == count, query


def test_points_are_filtered_by_repository_and_by_what_a_verification_found(here: Here) -> None:
    client = here.client()
    with here.engine.database.write() as connection:
        [row, *_] = points.vm_listing.page(connection, visible=Visibility.everything())
        found = {row.vault_point: "a chunk is damaged"}
        points.record_verification(connection, row.repository_id, found, read_data=True)
    assert [item["id"] for item in _all(client, "/restore-points", "damaged=true")] == [str(row.id)]
    assert len(_all(client, "/restore-points", "damaged=false")) == 13
    own = f"repository={row.repository_id}"
    assert len(_all(client, "/restore-points", own)) == 7
    assert len(_all(client, "/restore-points", f"{own}&damaged=true")) == 1
    assert client.get("/restore-points?repository=" + str(uuid4())).json()["items"] == []
    assert client.get("/restore-points?damaged=maybe").status_code == 400


def test_job_sessions_are_paged_in_order_and_filtered(here: Here) -> None:
    client = here.client()
    newest = _all(client, "/job-sessions")
    assert len(newest) == 14
    assert _all(client, "/job-sessions", "sort=created_at", limit=4) == newest[::-1]
    ended = [item["ended_at"] for item in _all(client, "/job-sessions", "sort=-ended_at")]
    assert None not in ended
    assert ended == sorted(ended, reverse=True)
    for query, count in (
        (f"job={here.jobs[0]}", 7),
        ("state=working", 2),
        ("state=Working,Stopped", 14),
        ("result=Failed", 2),
        ("kind=Job", 14),
        ("kind=VeeamZip", 0),
        ("requested_by=user1&result=Success", 6),
        (f"job={here.jobs[1]}&since={newest[2]['created_at']}", 3),
    ):
        assert len(_all(client, "/job-sessions", query)) == count, query


def test_page_goes_on_where_it_was_while_runs_begin_and_points_come(here: Here, clock: ManualClock) -> None:
    client = here.client()
    first = {path: client.get(f"{path}?limit=4").json() for path in ("/restore-points", "/job-sessions")}
    with here.engine.database.write() as connection:
        vm = JobVm(here.hosts[0], "ref-new", "new")
        record_point(connection, add_job(connection, [vm], "new"), [vm], uuid4(), START + timedelta(days=1))
    for path, begun in first.items():
        rest = _all(client, path, f"after={begun['next']}")
        ids = [item["id"] for item in begun["items"] + rest]
        assert len(ids) == len(set(ids)) == 14


def test_files_have_all_rows(here: Here) -> None:
    client = here.client()
    for path in ("/restore-points", "/job-sessions"):
        shown = [item["id"] for item in _all(client, path)]
        lines = client.get(f"{path}?format=ndjson&limit=1").text.splitlines()
        assert [json.loads(line)["id"] for line in lines] == shown
        rows = csv.DictReader(io.StringIO(client.get(f"{path}?format=csv").text))
        assert [row["id"] for row in rows] == shown


def test_what_bears_a_name_is_listed_by_it(here: Here) -> None:
    client = here.client()
    for path, names in (
        ("/hosts", ["host of db", "host of web"]),
        ("/jobs", ["db", "web"]),
        ("/repositories", ["repository of db", "repository of web"]),
    ):
        assert [item["name"] for item in _all(client, path, limit=1)] == names
        assert [item["name"] for item in _all(client, path, "sort=-name", limit=1)] == names[::-1]


def test_drills_and_the_audit_log_are_paged(here: Here, clock: ManualClock) -> None:
    client = here.client()
    with here.engine.database.write() as connection:
        sandbox = add_host(connection, "sandbox").id
    vms = [
        {"host_id": str(host), "vm_ref": f"ref-{name}"}
        for host, name in zip(here.hosts, ("web", "db"), strict=True)
    ]
    plan = {"name": "weekly", "sandbox_host_id": str(sandbox), "objective_seconds": 60, "vms": vms}
    plan_id = client.post("/drill-plans", plan).json()["id"]
    for _ in range(5):
        run_id = UUID(client.post(f"/drill-plans/{plan_id}/run").json()["id"])
        with here.engine.database.write() as connection:
            for vm in drill_vms.of_run(connection, run_id):
                drill_vms.begin(connection, vm.id)
            drill_runs.advance(connection, run_id, SessionState.STOPPED, result=SessionResult.SUCCESS)
        clock.advance(60)
    assert len(_all(client, "/drill-plans", limit=1)) == 1
    runs = [
        run["created_at"] for run in _all(client, "/drill-runs", f"plan={plan_id}&state=Stopped", limit=2)
    ]
    assert len(runs) == 5
    assert runs == sorted(runs, reverse=True)
    assert len(_all(client, "/drill-results", f"plan={plan_id}")) == 10
    assert len(_all(client, "/drill-results", "vm=web")) == 5
    entries = [entry["number"] for entry in _all(client, "/audit", "actor=admin", limit=4)]
    assert entries == sorted(entries, reverse=True)
    assert len(entries) == 13


def test_scope_cuts_every_page(here: Here) -> None:
    place = {
        path: here.client().get(f"{path}?limit=1").json()["next"]
        for path in ("/restore-points", "/job-sessions")
    }
    clerk = here.client("clerk")
    for path, after in place.items():
        name = "vm_name" if path == "/restore-points" else "job_name"
        for query in ("", f"after={after}"):
            assert {item[name] for item in _all(clerk, path, query)} == {"db"}
        assert "web" not in clerk.get(f"{path}?format=csv").text


@pytest.mark.parametrize("path", ["/restore-points", "/job-sessions", "/drill-runs", "/hosts", "/audit"])
def test_next_is_good_for_its_own_list_only(here: Here, path: str) -> None:
    client = here.client()
    for _ in range(3):
        client.delete(f"/hosts/{UUID(int=0)}")
    token = (
        client.get("/restore-sessions?limit=1").json()["next"] or client.get("/jobs?limit=1").json()["next"]
    )
    for query in (f"after={token}", "after=x", "since=soon" if path not in ("/hosts",) else "sort=address"):
        answer = client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid-input"), query
