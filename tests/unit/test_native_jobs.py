"""Jobs through the native API: when they run, what they keep, what they are of, and removing them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from restorium.catalog import jobs, schedules
from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.flows import inventory
from restorium.hosts.interface import VmInfo
from restorium.native import app as native
from restorium.vocabulary.retention import Gfs, KeepMonthly, KeepWeekly, RetainBy, Retention, WeekOfMonth
from restorium.vocabulary.roles import Role
from restorium.vocabulary.schedule import (
    Continuous,
    Daily,
    DailyKind,
    Hours,
    Month,
    Monthly,
    Periodic,
    PeriodKind,
    Retry,
    Schedule,
    Weekday,
    WeekInMonth,
)
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.estate import add_host, add_repository
from tests.support.native import NativeClient

NIGHT = {day: [0, 1, 22, 23] for day in Weekday}
NIGHTS = Hours((0b11 | 0b11 << 22,) * 7)
RETRY = {"times": 2, "wait_minutes": 5}


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def client(here: Site) -> NativeClient:
    return NativeClient(native.create(here.engine)).log_on("administrator", PASSWORD)


def _path(here: Site) -> str:
    return f"/jobs/{here.ids['Job']}"


def _row(here: Site) -> Row:
    with here.database.read() as connection:
        return jobs.get(connection, here.ids["Job"])


def _put(client: NativeClient, path: str, body: object, status: int = 200) -> Any:
    answer = client.request("PUT", path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


_SCHEDULES: list[tuple[dict[str, Any], Schedule]] = [
    ({"daily": {"at": "22:00"}}, Schedule(daily=Daily(time(22)))),
    (
        {"zone": "Europe/Berlin", "daily": {"at": "02:30", "days": list(Weekday)[1:6]}, "retry": RETRY},
        Schedule(
            "Europe/Berlin",
            daily=Daily(time(2, 30), DailyKind.WEEK_DAYS, frozenset(list(Weekday)[1:6])),
            retry=Retry(2, 5),
        ),
    ),
    (
        {"daily": {"at": "07:05", "days": ["Sunday"]}, "window": NIGHT},
        Schedule(
            daily=Daily(time(7, 5), DailyKind.SELECTED_DAYS, frozenset({Weekday.SUNDAY})), window=NIGHTS
        ),
    ),
    (
        {"monthly": {"at": "01:00", "day": 31, "months": ["June"]}},
        Schedule(monthly=Monthly(time(1), WeekInMonth.ON_DAY, day=31, months=frozenset({Month.JUNE}))),
    ),
    (
        {"monthly": {"at": "01:00", "week": "Last", "weekday": "Friday"}},
        Schedule(monthly=Monthly(time(1), WeekInMonth.LAST, Weekday.FRIDAY)),
    ),
    ({"periodic": {"every": 4}}, Schedule(periodic=Periodic(PeriodKind.HOURS, 4))),
    (
        {"periodic": {"every": 15, "unit": "Minutes", "hours": NIGHT}},
        Schedule(periodic=Periodic(PeriodKind.MINUTES, 15, NIGHTS)),
    ),
    ({"continuous": {}}, Schedule(continuous=Continuous())),
]


def test_schedule_is_set_shown_and_set_again_as_shown(here: Site, client: NativeClient) -> None:
    for written, value in _SCHEDULES:
        shown = _put(client, f"{_path(here)}/schedule", written)
        assert schedules.of(_row(here)) == value
        for name, told in written.items():
            found = shown["schedule"][name]
            assert told.items() <= found.items() if isinstance(told, dict) else told == found
        next_run = value.next_run(here.database.clock.now())
        assert next_run is not None
        assert (shown["schedule_enabled"], shown["next_run"]) == (True, f"{next_run:%Y-%m-%dT%H:%M:%SZ}")
        assert client.get(_path(here)).json() == shown
        assert _put(client, f"{_path(here)}/schedule", shown["schedule"]) == shown


def test_schedule_after_another_job_and_without_one(here: Site, client: NativeClient) -> None:
    [other] = [
        each["id"] for each in client.get("/jobs").json()["items"] if each["id"] != str(here.ids["Job"])
    ]
    shown = _put(client, f"{_path(here)}/schedule", {"after_job_id": other})
    assert (shown["schedule"]["after_job_id"], shown["next_run"]) == (other, None)
    circle = client.request("PUT", f"/jobs/{other}/schedule", json={"after_job_id": str(here.ids["Job"])})
    assert (circle.status_code, "after itself" in circle.text) == (400, True)
    assert _put(client, f"{_path(here)}/schedule", {"after_job_id": str(uuid4())}, 404)
    disabled = client.request("PATCH", _path(here), json={"schedule_enabled": False}).json()
    assert (disabled["schedule"]["after_job_id"], disabled["schedule_enabled"]) == (other, False)
    cleared = client.delete(f"{_path(here)}/schedule").json()
    assert (cleared["schedule"], cleared["schedule_enabled"], cleared["next_run"]) == (None, False, None)


_WRONG_SCHEDULES: list[tuple[dict[str, Any], str]] = [
    ({}, "exactly one way"),
    ({"daily": {"at": "22:00"}, "continuous": {}}, "exactly one way"),
    ({"daily": {"at": "25:00"}}, "'25:00'"),
    ({"daily": {"at": "22:00", "days": []}}, "selects none"),
    ({"daily": {"at": "22:00", "days": ["Sonntag"]}}, "Sonntag"),
    ({"daily": {"at": "22:00", "dys": []}}, "dys"),
    ({"daily": {"at": "22:00"}, "zone": "Europe/Atlantis"}, "Europe/Atlantis"),
    ({"monthly": {"at": "22:00"}}, "either a day or a week"),
    (
        {"monthly": {"at": "22:00", "day": 1, "week": "Last", "weekday": "Friday"}},
        "either a day or a week",
    ),
    ({"monthly": {"at": "22:00", "day": 32}}, "32"),
    ({"periodic": {"every": 0}}, "every 0 hours"),
    ({"continuous": {"hours": {"Sunday": [24]}}}, "no hour 24"),
    ({"continuous": {"hours": {}}}, "no hour of the week"),
    ({"continuous": {}, "retry": {"times": -1}}, "-1 times"),
]


def test_mistake_in_a_schedule_is_named_and_changes_nothing(here: Site, client: NativeClient) -> None:
    before = _row(here)
    for body, told in _WRONG_SCHEDULES:
        error = _put(client, f"{_path(here)}/schedule", body, 400)["error"]
        assert told in error["message"] and error["hint"]
    assert _row(here) == before


def test_retention_is_set_shown_and_cleared(here: Site, client: NativeClient) -> None:
    path = f"{_path(here)}/retention"
    monthly = {"months": 12, "week": "Last"}
    for written, value in (
        ({"points": 7}, Retention(RetainBy.CYCLES, 7, 14)),
        ({"days": 30}, Retention(RetainBy.DAYS, 14, 30)),
        (
            {"days": 30, "weekly": {"weeks": 4, "day": "Sunday"}, "monthly": monthly},
            Retention(RetainBy.DAYS, 14, 30, Gfs(KeepWeekly(4), KeepMonthly(12, WeekOfMonth.LAST))),
        ),
    ):
        shown = _put(client, path, written)["retention"]
        assert {name: each for name, each in shown.items() if each is not None} == written
        assert jobs.retention_of(_row(here)) == value
        assert _put(client, path, shown)["retention"] == shown
    assert client.delete(path).json()["retention"] is None
    assert jobs.retention_of(_row(here)) is None


_WRONG_RETENTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "either so many points"),
    ({"points": 1, "days": 1}, "either so many points"),
    ({"weekly": {"weeks": 4}}, "either so many points"),
    ({"points": 0}, "cannot be kept"),
    ({"days": 0}, "cannot be kept"),
    ({"points": 7, "yearly": {"years": 0}}, "0 years"),
    ({"points": 7, "daily": {}}, "daily"),
]


def test_mistake_in_a_retention_is_named_and_changes_nothing(here: Site, client: NativeClient) -> None:
    for body, told in _WRONG_RETENTIONS:
        assert told in _put(client, f"{_path(here)}/retention", body, 400)["error"]["message"]
    assert jobs.retention_of(_row(here)) is None


def test_job_is_renamed_and_gets_other_vms(
    here: Site, client: NativeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"name": "renamed", "description": "of two"}
    changed = client.request("PATCH", _path(here), json=asked).json()
    assert asked.items() <= changed.items()
    taken = client.request("PATCH", _path(here), json={"name": "job east"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "conflict")
    host_id = here.ids["HierarchyRoot"]
    monkeypatch.setattr(inventory, "list_vms", lambda *_: [VmInfo("vm-9", "nine", ())])
    new = {"host_id": str(host_id), "vm_ref": "vm-9"}
    added = client.post(f"{_path(here)}/vms", new)
    assert (added.status_code, [vm["vm_name"] for vm in added.json()["vms"]][2:]) == (201, ["nine"])
    assert client.post(f"{_path(here)}/vms", new).status_code == 409
    for vm in added.json()["vms"][:2]:
        assert client.delete(f"{_path(here)}/vms/{vm['id']}").status_code == 204
    [left] = client.get(_path(here)).json()["vms"]
    assert left["vm_name"] == "nine"
    assert client.delete(f"{_path(here)}/vms/{left['id']}").status_code == 409
    assert client.delete(f"{_path(here)}/vms/{uuid4()}").status_code == 404


def test_vms_are_chosen_all_at_once(
    here: Site, client: NativeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.get(_path(here)).json()["vms"]
    host_id = str(here.ids["HierarchyRoot"])
    monkeypatch.setattr(
        inventory, "list_vms", lambda *_: [VmInfo("vm-8", "eight", ()), VmInfo("vm-9", "nine", ())]
    )
    new = [{"host_id": host_id, "vm_ref": ref} for ref in ("vm-9", "vm-8")]
    kept = {"host_id": before[1]["host_id"], "vm_ref": before[1]["vm_ref"]}
    chosen = _put(client, f"{_path(here)}/vms", {"vms": [new[0], kept, new[1]]})["vms"]
    assert [vm["vm_name"] for vm in chosen] == [before[1]["vm_name"], "nine", "eight"]
    assert chosen[0] == before[1]
    _put(client, f"{_path(here)}/vms", {"vms": []}, 400)
    _put(client, f"{_path(here)}/vms", {"vms": [new[0], new[0]]}, 400)
    _put(client, f"{_path(here)}/vms", {"vms": [{"host_id": host_id, "vm_ref": "gone"}]}, 404)
    assert client.get(_path(here)).json()["vms"] == chosen


def test_job_is_made_with_schedule_and_retention_or_not_at_all(
    here: Site, client: NativeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "list_vms", lambda *_: [VmInfo("vm-9", "nine", ())])
    asked = {
        "name": "whole",
        "description": "all at once",
        "repository_id": str(here.ids["Repository"]),
        "vms": [{"host_id": str(here.ids["HierarchyRoot"]), "vm_ref": "vm-9"}],
        "schedule": {"daily": {"at": "22:00"}},
        "retention": {"points": 7},
    }
    refused = client.post("/jobs", {**asked, "schedule": {"after_job_id": str(uuid4())}})
    assert refused.status_code in (400, 404)
    assert client.post("/jobs", {**asked, "retention": {}}).status_code == 400
    made = client.post("/jobs", asked)
    assert made.status_code == 201, made.text
    job = client.get(f"/jobs/{made.json()['id']}").json()
    assert (job["description"], job["retention"]["points"]) == ("all at once", 7)
    assert (job["schedule"]["daily"]["at"], job["schedule_enabled"]) == ("22:00", True)
    assert job["next_run"] is not None


def test_what_is_in_use_is_not_removed(here: Site, client: NativeClient) -> None:
    """Hosts and repositories stay as long as jobs or restore points need them, and say so."""
    host, repository = f"/hosts/{here.ids['HierarchyRoot']}", f"/repositories/{here.ids['Repository']}"
    assert _refused(client, host) == "job 'job west' backs up VMs of host 'west'"
    assert _refused(client, repository) == "job 'job west' backs up to repository 'store west'"
    with here.database.write() as connection:
        running = jobs.add(
            connection,
            name="after",
            repository_id=here.ids["Repository"],
            platform=_row(here).platform,
            vms=[],
        )
        schedules.configure(connection, running.id, Schedule(after_job=here.ids["Job"]), enabled=True)
    assert "runs after" in _refused(client, _path(here))
    assert client.delete(f"/jobs/{running.id}").status_code == 204
    assert client.delete(_path(here)).status_code == 204
    assert client.get(_path(here)).status_code == 404
    assert _refused(client, host) == "there are restore points of VMs of host 'west'"
    assert _refused(client, repository) == "repository 'store west' holds restore points"
    points = client.get("/restore-points").json()["items"]
    assert {point["vm_name"] for point in points} >= {"west 1 & <co>", "west 2 & <co>"}


def _refused(client: NativeClient, path: str) -> str:
    answer = client.delete(path)
    assert answer.status_code == 409 and answer.json()["error"]["hint"]
    return str(answer.json()["error"]["message"])


def test_what_nothing_needs_is_removed(here: Site, client: NativeClient) -> None:
    with here.database.write() as connection:
        host, repository = add_host(connection, "spare"), add_repository(connection, "spare")
    for path in (f"/hosts/{host.id}", f"/repositories/{repository.id}"):
        assert client.delete(path).status_code == 204
        assert client.delete(path).status_code == 404


def test_monitor_sees_schedules_and_changes_nothing(here: Site) -> None:
    here.add_account("monitor", [Role.PORTAL_USER])
    monitor = NativeClient(native.create(here.engine)).log_on("monitor", PASSWORD)
    assert monitor.get(_path(here)).json()["schedule"] is None
    assert _put(monitor, f"{_path(here)}/schedule", {"continuous": {}}, 403)
