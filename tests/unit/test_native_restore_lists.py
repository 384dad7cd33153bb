"""Lists of restore sessions in the native API: filters, order, pages and files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from restorium.catalog import accounts, restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.listing import Compare, Visibility
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import Settings
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult
from tests.support.clock import ManualClock
from tests.support.native import NativeClient
from tests.support.restores import Restores

pytestmark = pytest.mark.slow

PASSWORD = "a password"


@pytest.fixture
def engine(database: Database, tmp_path: Path, clock: ManualClock) -> Engine:
    return Engine(Settings(data=tmp_path / "data"), database, clock)


@pytest.fixture
def restores(engine: Engine, clock: ManualClock) -> Restores:
    """Twelve restores of two VMs, one every minute: the first Failed, two still Working."""
    made = Restores(engine.database, ["Web=1", "db"])
    for number in range(12):
        session_id = made.start(["Web=1", "db"][number % 2], by=f"user{number % 3}")
        if number == 0:
            made.stop(session_id, SessionResult.FAILED, reason_code="host", reason="=1+1", hint="Look.")
        elif number < 10:
            clock.advance(30)
            made.stop(session_id)
        clock.advance(60)
    return made


@pytest.fixture
def client(engine: Engine, restores: Restores) -> NativeClient:
    with engine.database.write() as connection:
        accounts.add(connection, "admin", PASSWORD, roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True)
    return NativeClient(create(engine)).log_on("admin", PASSWORD)


def _all(client: NativeClient, query: str, limit: int = 5) -> list[dict[str, Any]]:
    """Page by page."""
    found, after = [], ""
    while True:
        answer = client.get(f"/restore-sessions?limit={limit}{after or '&' + query}")
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            return found
        assert len(answer.json()["items"]) == limit
        after = f"&after={answer.json()['next']}"


def test_pages_have_all_in_order(client: NativeClient) -> None:
    newest = _all(client, "")
    assert len({item["id"] for item in newest}) == 12
    created = [item["created_at"] for item in newest]
    assert created == sorted(created, reverse=True)
    assert _all(client, "sort=created_at", limit=1) == newest[::-1]
    names = [item["vm_name"] for item in _all(client, "sort=vm_name")]
    assert names == ["db"] * 6 + ["Web=1"] * 6
    ended = [item["ended_at"] for item in _all(client, "sort=-ended_at", limit=3)]
    assert None not in ended
    assert len(ended) == 10
    assert ended == sorted(ended, reverse=True)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state=Working", 2),
        ("state=stopped,Working", 12),
        ("result=Failed", 1),
        ("result=Success&vm=EB%3D", 4),
        ("vm=B", 12),
        ("vm=%25", 0),
        ("kind=RestoreVm", 12),
        ("kind=FileLevelRestore", 0),
        ("requested_by=user1", 4),
        ("since=2031-02-03T04:06:06Z", 11),
        ("until=2031-02-03T04:06:06", 1),
        ("since=2031-02-03T04:06:06Z&until=2031-02-03T04:09:00Z", 2),
    ],
)
def test_filters(client: NativeClient, query: str, count: int) -> None:
    assert len(_all(client, query, limit=3)) == count


def test_page_goes_on_where_it_was_while_others_begin_and_end(
    client: NativeClient, restores: Restores, clock: ManualClock
) -> None:
    first = client.get("/restore-sessions?limit=4").json()
    for _ in range(3):
        clock.advance(1)
        restores.start("db")
    rest = _all(client, f"after={first['next']}")
    seen = [item["id"] for item in first["items"] + rest]
    assert len(seen) == len(set(seen)) == 12


@pytest.mark.parametrize(
    "query",
    ["state=Odd", "sort=progress", "since=now", "after=x", "after=%C3%A4", "format=xml", "limit=0", "vm=%00"],
)
def test_what_cannot_be_asked_for_is_named(client: NativeClient, query: str) -> None:
    answer = client.get(f"/restore-sessions?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]


def test_next_is_good_for_its_own_list_only(client: NativeClient, tmp_path: Path) -> None:
    token = client.get("/restore-sessions?limit=1&state=Stopped").json()["next"]
    assert client.get(f"/restore-sessions?after={token}&state=Stopped").status_code == 200
    for other in (f"after={token}&state=Working", f"after={token[:-4]}AAAA", f"after={token}&sort=vm_name"):
        answer = client.get(f"/restore-sessions?{other}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid-input")


def test_session_says_all_there_is_to_know(client: NativeClient, restores: Restores) -> None:
    [failed] = _all(client, "result=Failed")
    assert failed["reason"] == {"code": "host", "message": "=1+1", "hint": "Look."}
    assert (failed["kind"], failed["requested_from"], failed["duration"]) == ("RestoreVm", "192.0.2.7", 0)
    assert (failed["speed"], failed["seconds_left"]) == (None, None)
    links = failed["links"]
    assert client.get(links["self"].removeprefix("/v1")).json()["id"] == failed["id"]
    assert client.get(links["speed"].removeprefix("/v1")).json() == {"samples": []}
    assert client.get(links["restore_point"].removeprefix("/v1")).json()["vm_name"] == "Web=1"
    assert links["cancel"] is None
    running = _all(client, "state=Working")[0]
    assert (running["links"]["evidence"], running["duration"]) == (None, 60)
    assert running["links"]["cancel"] == f"/v1/restore-sessions/{running['id']}/cancel"


def test_files_have_all_that_pass_the_filter(client: NativeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restorium.native.paging._CHUNK", 3)
    path = "/restore-sessions?result=Success,Failed&limit=1"
    lines = client.get(f"{path}&format=ndjson").text.splitlines()
    shown = _all(client, "result=Success,Failed")
    assert [json.loads(line)["id"] for line in lines] == [item["id"] for item in shown]
    answer = client.request("GET", path, {"Accept": "text/csv, application/json;q=0.5"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == [item["id"] for item in shown]
    assert (rows[-1]["reason.message"], rows[-1]["vm_name"], rows[0]["reason.code"]) == ("'=1+1", "Web=1", "")
    assert client.request("GET", path, {"Accept": "*/*"}).json()["items"]


def test_scope_cuts_every_page_and_file(engine: Engine, client: NativeClient, restores: Restores) -> None:
    point = restores.points["db"]
    with engine.database.write() as connection:
        account = accounts.add(
            connection, "op", PASSWORD, roles={Role.VM_RESTORE_OPERATOR}, restore_all=False
        )
        accounts.set_scopes(connection, account.id, [Scope(point.host_id, point.vm_ref)])
    everything = client.get("/restore-sessions?limit=1").json()["next"]
    operator = NativeClient(create(engine)).log_on("op", PASSWORD)
    assert {item["vm_name"] for item in _all(operator, "")} == {"db"}
    assert {item["vm_name"] for item in _all(operator, f"after={everything}")} == {"db"}
    assert "Web" not in operator.get("/restore-sessions?format=csv").text


@pytest.mark.parametrize(
    ("sort", "index"),
    [
        ("created_at", "ix_restore_sessions_created_at"),
        ("ended_at", "ix_restore_sessions_ended_at"),
        ("vm_name", "ix_restore_sessions_vm_name_folded"),
    ],
)
def test_deep_pages_begin_at_their_place_by_an_index(
    engine: Engine, restores: Restores, kind: str, sort: str, index: str
) -> None:
    where = Compare("ended_at", "!=", None) if sort == "ended_at" else None
    for descending in (False, True):
        asked: Any = {"where": where, "order": [(sort, descending)], "visible": Visibility.everything()}
        with engine.database.read() as connection:
            _, place = restore_sessions.listing.following(connection, limit=3, **asked)
            executed: list[tuple[str, Any]] = []

            def note(_c: Any, _cursor: Any, text: str, values: Any, *_: Any, into: Any = executed) -> None:
                into.append((text, values))

            sa.event.listen(connection, "before_cursor_execute", note)
            restore_sessions.listing.following(connection, limit=3, after=place, **asked)
            text, values = executed[0]
            if kind == "postgresql":
                for way in ("seqscan", "bitmapscan", "sort"):  # of so few rows it would read all
                    connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            explain = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
            rows = connection.exec_driver_sql(f"{explain} {text}", values).all()
        plan = "\n".join(" ".join(map(str, row)) for row in rows)
        assert index in plan, plan
        assert ("SEARCH" if kind == "sqlite" else "Index Cond") in plan, plan
        assert "TEMP B-TREE" not in plan, plan
        assert "Sort" not in plan, plan
