"""Restore sessions as server-sent events: told once, in their order, to whom they concern, for as long as they may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import accounts, restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.flows import feed as feeds
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import EmSettings, Settings
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionState
from tests.support.clock import ManualClock
from tests.support.native import NativeClient
from tests.support.restores import Restores
from tests.support.waiting import wait_until

PASSWORD = "a password"
EVENTS = "/restore-sessions/events"


@pytest.fixture
def engine(
    database: Database, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(feeds, "TICK_SECONDS", 0.05)
    made = Engine(
        Settings(data=tmp_path / "data", em=EmSettings(logon_idle=timedelta(minutes=2))), database, clock
    )
    with database.write() as connection:
        accounts.add(connection, "admin", PASSWORD, roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True)
    yield made
    made.feed.close()


@pytest.fixture
def restores(engine: Engine) -> Restores:
    return Restores(engine.database, ["web", "db"])


@pytest.fixture
def client(engine: Engine) -> NativeClient:
    return NativeClient(create(engine)).log_on("admin", PASSWORD)


def _renewed(engine: Engine, clock: ManualClock, client: NativeClient) -> NativeClient:
    """The same server after a restart."""
    engine.feed.close()
    again = NativeClient(create(Engine(engine.settings, engine.database, clock)))
    again.token = client.token
    return again


def test_all_sessions_are_told_first_as_they_are_then_as_they_change(
    client: NativeClient, restores: Restores
) -> None:
    ended, running = restores.start("web"), restores.start("db")
    restores.stop(ended)
    with client.listen(EVENTS) as listener:
        wait_until(lambda: [event for event, _, _ in listener.events] == ["session", "present"])
        assert listener.status == 200
        assert listener.sessions[0]["id"] == str(running)
        restores.stop(running)
        wait_until(lambda: len(listener.sessions) == 2)
        assert listener.sessions[1]["state"] == "Stopped"
        assert set(listener.sessions[0]) >= {"speed", "seconds_left", "links", "reason", "progress"}


def test_who_comes_back_is_told_what_changed_even_by_a_server_started_anew(
    engine: Engine, clock: ManualClock, client: NativeClient, restores: Restores
) -> None:
    same, changed = restores.start("web"), restores.start("db")
    with client.listen(EVENTS) as listener:
        wait_until(lambda: len(listener.events) == 3)
        last = listener.last_id
    restores.stop(changed)
    again = _renewed(engine, clock, client)
    for how in ({"headers": {"Last-Event-ID": last}}, {"query": f"?last_event_id={last}"}):
        with again.listen(EVENTS + str(how.get("query", "")), how.get("headers")) as listener:  # type: ignore[arg-type]
            wait_until(lambda: "present" in [event for event, _, _ in listener.events])
            assert [told["id"] for told in listener.sessions] == [str(changed)]
    restores.say(same)
    with again.listen(EVENTS, {"Last-Event-ID": listener.last_id}) as listener:
        wait_until(lambda: [told["id"] for told in listener.sessions] == [str(same)])


def test_one_session_is_told_whole_with_new_events_only_until_it_has_stopped(
    client: NativeClient, restores: Restores
) -> None:
    session_id = restores.start("web")
    restores.say(session_id, "first")
    with client.listen(f"/restore-sessions/{session_id}/events") as listener:
        wait_until(lambda: len(listener.events) == 2)
        restores.say(session_id, "second")
        wait_until(lambda: len(listener.sessions) == 2)
        restores.stop(session_id)
        wait_until(lambda: listener.over)
        assert [event for event, _, _ in listener.events] == [
            "session",
            "present",
            "session",
            "session",
            "end",
        ]
        assert [[each["message"] for each in told["events"]] for told in listener.sessions] == [
            ["first"],
            ["second"],
            [],
        ]
        assert listener.sessions[-1]["result"] == "Success"
        ids = [key for _, key, _ in listener.events if key is not None]
    with client.listen(f"/restore-sessions/{session_id}/events", {"Last-Event-ID": ids[0]}) as again:
        wait_until(lambda: again.over)
        assert [each["message"] for told in again.sessions for each in told["events"]] == ["second"]
    with client.listen(f"/restore-sessions/{session_id}/events", {"Last-Event-ID": ids[-1]}) as again:
        wait_until(lambda: again.over)
        assert [event for event, _, _ in again.events] == ["present", "end"]


def test_progress_is_told(client: NativeClient, restores: Restores, engine: Engine) -> None:
    session_id = restores.start("web")
    with client.listen(f"/restore-sessions/{session_id}/events") as listener:
        with engine.database.write() as connection:
            restore_sessions.plan(connection, session_id, [restore_sessions.NewDisk("a", 100, 100)])
        with engine.database.write() as connection:
            restore_sessions.record_disk(connection, session_id, "a", copied_bytes=80)
        wait_until(lambda: listener.sessions and listener.sessions[-1]["progress"] == 40)
        assert listener.sessions[-1]["disks"][0]["copied_bytes"] == 80


@pytest.mark.parametrize("last", ["x", "1:2", "9000000000000000000:9000000000000000000:"])
def test_id_that_is_none_is_named(client: NativeClient, restores: Restores, last: str) -> None:
    session_id = restores.start("web")
    for path in (EVENTS, f"/restore-sessions/{session_id}/events"):
        answer = client.request("GET", path, {"Last-Event-ID": last})
        assert answer.status_code == 400
        assert last in answer.json()["error"]["message"]


def test_head_is_answered_and_over(client: NativeClient) -> None:
    answer = client.request("HEAD", EVENTS)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/event-stream")


def test_nobody_is_told_without_a_token_or_of_what_is_not_there(client: NativeClient, engine: Engine) -> None:
    assert client.get(f"/restore-sessions/{UUID(int=1)}/events").status_code == 404
    client.token = None
    for path in (EVENTS, f"/restore-sessions/{UUID(int=1)}/events"):
        assert client.get(path).status_code == 401


def test_streams_end_with_the_logon_and_with_the_last_role(
    client: NativeClient, restores: Restores, engine: Engine, clock: ManualClock
) -> None:
    session_id = restores.start("web")
    with engine.database.write() as connection:
        account = accounts.add(connection, "op", PASSWORD, roles={Role.PORTAL_USER}, restore_all=True)
    operator = NativeClient(create(engine)).log_on("op", PASSWORD)
    paths = (EVENTS, f"/restore-sessions/{session_id}/events")
    with (
        client.listen(paths[0]) as first,
        client.listen(paths[1]) as second,
        operator.listen(paths[0]) as third,
    ):
        listeners = (first, second, third)
        wait_until(lambda: all(len(listener.events) >= 2 for listener in listeners))
        clock.advance(3)
        assert client.delete("/tokens/current").status_code == 204
        clock.advance(3)
        wait_until(lambda: first.over and second.over)
        assert not third.over
        with engine.database.write() as connection:
            accounts.set_roles(connection, account.id, [])
        clock.advance(3)
        wait_until(lambda: third.over)


def test_a_restore_scope_counts_at_once(client: NativeClient, restores: Restores, engine: Engine) -> None:
    web, db = restores.start("web"), restores.start("db")
    point = restores.points["web"]
    with engine.database.write() as connection:
        account = accounts.add(
            connection, "op", PASSWORD, roles={Role.VM_RESTORE_OPERATOR}, restore_all=False
        )
        accounts.set_scopes(connection, account.id, [Scope(point.host_id, point.vm_ref)])
    operator = NativeClient(create(engine)).log_on("op", PASSWORD)
    assert operator.get(f"/restore-sessions/{db}/events").status_code == 404
    with operator.listen(EVENTS) as listener, operator.listen(f"/restore-sessions/{web}/events") as of_one:
        wait_until(lambda: listener.sessions and of_one.sessions)
        with engine.database.write() as connection:
            accounts.set_scopes(connection, account.id, [])
        restores.say(db)
        restores.say(web)
        marker = restores.start("db", state=SessionState.STARTING)
        with client.listen(EVENTS) as everything:
            wait_until(lambda: str(marker) in [told["id"] for told in everything.sessions])
        with engine.database.write() as connection:
            accounts.toggle_restore_all(connection, account.id)
        engine.clock.advance(3)  # type: ignore[attr-defined]
        wait_until(lambda: len(listener.sessions) > 3)
        assert {told["id"] for told in listener.sessions[1:]} == {str(web), str(db), str(marker)}
        assert [told["id"] for told in of_one.sessions] == [str(web)]


def test_silence_is_broken_and_following_is_a_use_of_the_logon(
    client: NativeClient, engine: Engine, clock: ManualClock
) -> None:
    with client.listen(EVENTS) as listener:
        wait_until(lambda: listener.events)
        for _ in range(10):
            seen = len(listener.body)
            clock.advance(16)
            wait_until(lambda seen=seen: len(listener.body) > seen)  # type: ignore[misc]
        assert b"\n:\n\n" in listener.body
        assert client.get("/restore-sessions").status_code == 200


def test_a_server_that_stops_ends_its_streams_at_once(client: NativeClient, engine: Engine) -> None:
    with client.listen(EVENTS) as listener:
        wait_until(lambda: listener.events)
        engine.feed.close()
        wait_until(lambda: listener.over)
        assert "end" not in [event for event, _, _ in listener.events]


def test_streams_are_in_the_document(client: NativeClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in (EVENTS, "/restore-sessions/{id}/events"):
        assert list(paths[path]["get"]["responses"]["200"]["content"]) == ["text/event-stream"]
    content = paths["/restore-sessions"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv", "application/x-ndjson"}
