"""Drill plans, runs and reports through the native API, over a catalog in which nothing runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from restorium.catalog import accounts, drill_runs, drill_vms, hosts
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.flows.engine import Engine
from restorium.native import app as native
from restorium.settings import Settings
from restorium.vocabulary.drills import CheckKind, CheckOutcome, CheckResult
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.estate import add_host, add_job, record_point
from tests.support.native import NativeClient

PASSWORD = "a password"


class Here:
    """A job of the VMs web and mail, a sandbox, an administrator and a clerk who may restore web alone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with engine.database.write() as connection:
            host = add_host(connection)
            self.host_id, self.vms = host.id, [JobVm(host.id, name, name) for name in ("web", "mail")]
            self.job = add_job(connection, self.vms)
            record_point(connection, self.job, self.vms, uuid4(), host.created_at)
            self.sandbox: UUID = add_host(connection, "sandbox").id
            roles = {Role.PORTAL_ADMINISTRATOR}
            accounts.add(connection, "administrator", PASSWORD, roles=roles, restore_all=True)
            clerk = accounts.add(
                connection, "clerk", PASSWORD, roles={Role.VM_RESTORE_OPERATOR}, restore_all=False
            )
            accounts.set_scopes(connection, clerk.id, [accounts.Scope(host.id, "web")], restore_all=False)

    def client(self, name: str = "administrator") -> NativeClient:
        return NativeClient(native.create(self.engine)).log_on(name, PASSWORD)

    def body(self, **members: Any) -> dict[str, Any]:
        return {
            "name": "weekly",
            "sandbox_host_id": str(self.sandbox),
            "objective_seconds": 60,
            "vms": [{"host_id": str(self.host_id), "vm_ref": each} for each in ("web", "mail")],
        } | members

    def through(self, run_id: str) -> None:
        """The run to its end, web with Success and mail Failed."""
        outcome = CheckOutcome(CheckKind.DIGEST, CheckResult.PASSED, "as it was")
        with self.engine.database.write() as connection:
            for vm in drill_vms.of_run(connection, UUID(run_id)):
                drill_vms.begin(connection, vm.id)
                drill_vms.record_checks(connection, vm.id, [outcome], None)
                good = vm.vm_ref == "web"
                drill_vms.end(
                    connection,
                    vm.id,
                    SessionResult.SUCCESS if good else SessionResult.FAILED,
                    reason_code=None if good else "drill-failed",
                    reason=None if good else "secret of mail",
                    recovery_ms=1500 if good else None,
                    merkle_root="ab" * 32,
                )
            drill_runs.advance(
                connection,
                UUID(run_id),
                SessionState.STOPPED,
                result=SessionResult.FAILED,
                reason_code="drill-failed",
                reason="mail: secret of mail",
                hint="look",
            )


@pytest.fixture
def here(tmp_path: Path, sqlite_template: Path, clock: ManualClock) -> Iterator[Here]:
    path = tmp_path / "restorium.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}", clock)
    yield Here(Engine(Settings(data=tmp_path / "data"), database, clock))
    database.close()


def test_plan_is_made_shown_changed_and_removed(here: Here) -> None:
    client = here.client()
    checks = {
        "filesystems": True,
        "files": [{"path": "/etc/fstab", "not_empty": True, "sha256": "0" * 64}],
        "boot": {"marker": "login:", "seconds": 60, "memory_mib": 512, "cpus": 2},
    }
    made = client.post("/drill-plans", here.body(checks=checks, schedule={"daily": {"at": "22:00"}}))
    assert made.status_code == 201, made.text
    plan = made.json()
    assert (plan["checks"], plan["vms"]) == (checks, here.body()["vms"])
    assert plan["next_run"] == "2031-02-03T22:00:00Z"
    path = f"/drill-plans/{plan['id']}"
    assert client.get(path).json() == plan == client.get("/drill-plans").json()["items"][0]
    kept = {name: plan[name] for name in here.body() | {"checks": 0, "schedule": 0, "percent": 0}}
    assert client.request("PUT", path, json=kept).json() == plan, "as it is shown it can be sent"
    changed = {"name": "some", "vms": [], "percent": 10, "job_ids": [str(here.job.id)], "schedule": None}
    plan = client.request("PUT", path, json=here.body(**changed)).json()
    assert (plan["name"], plan["percent"], plan["next_run"]) == ("some", 10, None)
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"vms": []}, 400),
        ({"percent": 10}, 400),
        ({"objective_seconds": 0}, 400),
        ({"checks": {"boot": {"marker": "("}}}, 400),
        ({"checks": {"boot": {"marker": ""}}}, 400),
        ({"checks": {"files": [{"path": "/x", "sha256": "abc"}]}}, 400),
        ({"schedule": {"continuous": {}}}, 400),
        ({"vms": [{"host_id": str(UUID(int=1)), "vm_ref": "web"}]}, 404),
        ({"sandbox_host_id": str(UUID(int=1))}, 404),
        ({"unknown": 1}, 400),
    ],
)
def test_what_makes_no_plan_is_refused(here: Here, members: dict[str, Any], status: int) -> None:
    answer = here.client().post("/drill-plans", here.body(**members))
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["hint"]


def test_sandbox_is_where_no_protected_vm_is(here: Here) -> None:
    answer = here.client().post("/drill-plans", here.body(sandbox_host_id=str(here.host_id)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    with here.engine.database.write() as connection:
        twin = add_host(connection, "rack-1/../rack-1")
    answer = here.client().post("/drill-plans", here.body(sandbox_host_id=str(twin.id)))
    assert answer.status_code == 409, "another name of the same folder"


def test_sandbox_is_no_server_that_is_written_otherwise(here: Here) -> None:
    with here.engine.database.write() as connection:
        hosts.add(connection, name="here", kind="vsphere", address="vc.example", platform=Platform.VMWARE)
        twin = hosts.add(
            connection,
            name="twin",
            kind="vsphere",
            address="https://VC.example:443/",
            platform=Platform.VMWARE,
        )
    answer = here.client().post("/drill-plans", here.body(sandbox_host_id=str(twin.id)))
    assert (answer.status_code, "'here'" in answer.text) == (409, True)


def test_run_is_shown_with_results_and_cut_by_scope(here: Here) -> None:
    client, clerk = here.client(), here.client("clerk")
    plan = client.post("/drill-plans", here.body()).json()
    started = client.post(f"/drill-plans/{plan['id']}/run")
    assert (started.status_code, started.json()["state"]) == (202, "Starting")
    run_id = started.json()["id"]
    assert client.post(f"/drill-plans/{plan['id']}/run").status_code == 409
    assert clerk.post(f"/drill-plans/{plan['id']}/run").status_code == 403
    assert clerk.post(f"/drill-runs/{run_id}/cancel").status_code == 403
    here.through(run_id)

    run = client.get(f"/drill-runs/{run_id}").json()
    assert (run["vms"], run["succeeded"], run["failed"], run["warned"]) == (2, 1, 1, 0)
    web, mail = run["results"]
    assert (web["recovery_ms"], web["merkle_root"]) == (1500, "ab" * 32)
    assert web["checks"] == [{"kind": "digest", "result": "Passed", "subject": None, "detail": "as it was"}]
    assert (mail["reason"]["code"], run["reason"]["hint"]) == ("drill-failed", "look")
    assert client.post(f"/drill-runs/{run_id}/cancel").status_code == 409

    seen = clerk.get(f"/drill-runs/{run_id}")
    assert [vm["vm_name"] for vm in seen.json()["results"]] == ["web"]
    assert (seen.json()["vms"], seen.json()["reason"], seen.json()["events"]) == (1, None, [])
    for path in (
        f"/drill-runs/{run_id}",
        "/drill-runs",
        "/drill-results",
        "/drill-plans",
        "/drills/report",
        "/drills/report?format=csv",
        f"/drill-runs/{run_id}/report",
        "/vms/at-risk",
    ):
        assert "mail" in client.get(path).text or "2" in client.get(path).text
        assert clerk.get(path).status_code == 200
        assert "mail" not in clerk.get(path).text, path
    assert [each["vm_name"] for each in client.get("/drill-results?vm=web").json()["items"]] == ["web"]
    assert client.get(f"/drill-runs?plan={uuid4()}").json()["items"] == []


def test_report_is_of_a_time(here: Here) -> None:
    client = here.client()
    plan = client.post("/drill-plans", here.body()).json()
    here.through(client.post(f"/drill-plans/{plan['id']}/run").json()["id"])
    answer = client.get("/drills/report?format=csv&from=2031-02-03&to=2031-02-04T00:00:00%2B00:00")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["vm"], row["result"]) for row in rows] == [("web", "Success"), ("mail", "Failed")]
    page = client.get("/drills/report?from=2031-02-04")
    assert "There was no drill." in page.text
    assert "script" not in page.headers["content-security-policy"]
    for wrong in ("from=yesterday", "format=pdf", "to=9999-12-31T23:59:59-14:00"):
        assert client.get(f"/drills/report?{wrong}").status_code == 400, wrong


def test_vms_at_risk_are_listed(here: Here) -> None:
    client = here.client()
    assert [vm["vm_name"] for vm in client.get("/vms/at-risk").json()["items"]] == ["mail", "web"]
    assert client.get("/vms/at-risk?days=0").status_code == 400
