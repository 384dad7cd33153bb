"""Runs of jobs and of drills as server-sent events, as restore sessions are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import accounts, drill_runs, drill_vms, job_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.flows import feed as feeds
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import EmSettings, Settings
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point
from tests.support.native import NativeClient
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PASSWORD = "a password"


class Runs:
    """A job and a drill plan of the VMs web and db, a run of each; a clerk who may see web alone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with engine.database.write() as connection:
            host = add_host(connection)
            vms = [JobVm(host.id, name, name) for name in ("web", "db")]
            self.job = add_job(connection, vms)
            record_point(connection, self.job, vms, UUID(int=9), START)
            sandbox = add_host(connection, "sandbox").id
            roles = {Role.PORTAL_ADMINISTRATOR}
            accounts.add(connection, "admin", PASSWORD, roles=roles, restore_all=True)
            clerk = accounts.add(connection, "clerk", PASSWORD, roles={Role.PORTAL_USER}, restore_all=False)
            accounts.set_scopes(connection, clerk.id, [Scope(host.id, "web")])
            self.clerk_id = clerk.id
            self.run: UUID = job_sessions.create(connection, self.job.id, Caller("jo")).id
        plan = {
            "name": "weekly",
            "sandbox_host_id": str(sandbox),
            "objective_seconds": 60,
            "vms": [{"host_id": str(host.id), "vm_ref": name} for name in ("web", "db")],
        }
        client = self.client("admin")
        plan_id = client.post("/drill-plans", plan).json()["id"]
        self.drill = UUID(client.post(f"/drill-plans/{plan_id}/run").json()["id"])

    def client(self, name: str) -> NativeClient:
        return NativeClient(create(self.engine)).log_on(name, PASSWORD)

    def say(self, session_id: UUID, message: str) -> None:
        with self.engine.database.write() as connection:
            job_sessions.add_event(connection, session_id, "info", message)

    def end(self) -> None:
        with self.engine.database.write() as connection:
            done = SessionResult.SUCCESS
            job_sessions.advance(connection, self.run, SessionState.STOPPED, result=done)
            drill_runs.advance(connection, self.drill, SessionState.STOPPED, result=done)


@pytest.fixture
def runs(
    database: Database, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runs]:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(feeds, "TICK_SECONDS", 0.05)
    idle = EmSettings(logon_idle=timedelta(minutes=2))
    engine = Engine(Settings(data=tmp_path / "data", em=idle), database, clock)
    yield Runs(engine)
    engine.feed.close()


def test_all_runs_are_told_as_they_are_and_as_they_change(runs: Runs) -> None:
    client = runs.client("admin")
    with (
        client.listen("/job-sessions/events") as jobs,
        client.listen("/drill-runs/events") as drills,
        client.listen("/restore-sessions/events") as restores,
    ):
        for listener, first in ((jobs, runs.run), (drills, runs.drill)):
            wait_until(lambda at=listener: len(at.events) == 2)
            assert [event for event, _, _ in listener.events] == ["session", "present"]
            assert (listener.sessions[0]["id"], listener.sessions[0]["state"]) == (str(first), "Starting")
        runs.end()
        for listener in (jobs, drills):
            wait_until(lambda at=listener: len(at.sessions) == 2)
            assert (listener.sessions[1]["state"], listener.sessions[1]["result"]) == ("Stopped", "Success")
        assert restores.sessions == []


def test_one_run_is_told_whole_until_it_has_stopped(runs: Runs) -> None:
    client = runs.client("admin")
    for path, session_id, parts in (
        (f"/job-sessions/{runs.run}", runs.run, "vms"),
        (f"/drill-runs/{runs.drill}", runs.drill, "results"),
    ):
        runs.say(session_id, "first")
        with client.listen(f"{path}/events") as listener:
            wait_until(lambda at=listener: len(at.events) == 2)
            assert [vm["vm_name"] for vm in listener.sessions[0][parts]] in (["db", "web"], ["web", "db"])
            runs.say(session_id, "second")
            wait_until(lambda at=listener: len(at.sessions) == 2)
            last = listener.last_id
        told = [[each["message"] for each in session["events"]] for session in listener.sessions]
        assert told[0][-1] == "first"
        assert told[1] == ["second"]
        runs.say(session_id, "third")
        with client.listen(f"{path}/events", {"Last-Event-ID": last}) as again:
            wait_until(lambda at=again: bool(at.sessions))
            assert [each["message"] for each in again.sessions[0]["events"]] == ["third"]
    with client.listen(f"/drill-runs/{runs.drill}/events") as listener:
        runs.end()
        wait_until(lambda: listener.over)
        assert listener.events[-1][0] == "end"
        assert listener.sessions[-1]["result"] == "Success"


def test_what_happens_to_a_vm_of_a_run_is_told(runs: Runs) -> None:
    client = runs.client("admin")
    with (
        client.listen(f"/job-sessions/{runs.run}/events") as jobs,
        client.listen(f"/drill-runs/{runs.drill}/events") as drills,
    ):
        wait_until(lambda: len(jobs.events) == len(drills.events) == 2)
        with runs.engine.database.write() as connection:
            job_sessions.start_task(
                connection, job_sessions.tasks(connection, runs.run)[0].id, total_bytes=77
            )
            drill_vms.begin(connection, drill_vms.of_run(connection, runs.drill)[0].id)
        wait_until(lambda: len(jobs.sessions) == len(drills.sessions) == 2)
        assert 77 in [vm["total_bytes"] for vm in jobs.sessions[1]["vms"]]
        assert "InProgress" in [vm["state"] for vm in drills.sessions[1]["results"]]


def test_scope_and_roles_are_kept_to(runs: Runs, clock: ManualClock) -> None:
    clerk = runs.client("clerk")
    runs.say(runs.run, "secret of db")
    runs.say(runs.drill, "secret of db")
    with (
        clerk.listen(f"/job-sessions/{runs.run}/events") as jobs,
        clerk.listen(f"/drill-runs/{runs.drill}/events") as drills,
        clerk.listen("/drill-runs/events") as counted,
    ):
        wait_until(lambda: len(jobs.events) == len(drills.events) == len(counted.events) == 2)
        assert [vm["vm_name"] for vm in jobs.sessions[0]["vms"]] == ["web"]
        assert [vm["vm_name"] for vm in drills.sessions[0]["results"]] == ["web"]
        assert counted.sessions[0]["vms"] == 1
        assert b"secret" not in jobs.body + drills.body + counted.body
        assert b'"db"' not in jobs.body + drills.body + counted.body
        with runs.engine.database.write() as connection:
            accounts.set_roles(connection, runs.clerk_id, {Role.FILE_RESTORE_OPERATOR})
        clock.advance(3)
        wait_until(lambda: jobs.over)
        assert not drills.over
    assert clerk.get("/job-sessions/events").status_code == 403
    assert clerk.get(f"/job-sessions/{runs.run}/events").status_code == 403
