"""The reports against what the catalog holds, in both formats, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from restorium.catalog import job_sessions, tables
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionState
from tests.support.em import JSON, EmClient, Site, attributes, children, links, standing_site, tag

_FRAMES = ("overview", "vms_overview", "job_statistics", "repository", "processed_vms")
_NAMES = ["Overview", "VmsOverview", "JobStatistics", "ProcessedVms", "Repositories"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Besides what every site has: a job that will run by itself, and one that is running."""
    with standing_site(request, request.param) as made:
        with made.database.write() as connection:
            connection.execute(
                sa.update(tables.jobs)
                .where(tables.jobs.c.name == "job east")
                .values(schedule_configured=True, schedule_enabled=True)
            )
            session = job_sessions.create(connection, made.ids["Job"], Caller("administrator"))
            job_sessions.advance(connection, session.id, SessionState.WORKING)
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


def _told(client: EmClient, frame: str) -> Any:
    return client.get(f"/reports/summary/{frame}", JSON).json


def test_the_summary_links_to_each_frame(client: EmClient) -> None:
    found = client.get("/reports/summary").xml
    assert (tag(found), found.get("Type")) == ("SummaryReport", "Report")
    linked = [link for link in links(found) if link["Type"] == "ReportFrame"]
    names = [tag(client.follow(link["Href"]).xml) for link in linked]
    assert linked == links(found)  # clients follow every link and file the frame by the link's name
    assert [link["Name"] for link in linked] == _NAMES
    assert names == [
        "OverviewReportFrame",
        "VmsOverviewReportFrame",
        "JobStatisticsReportFrame",
        "ProcessedVmsReportFrame",
        "RepositoryReportFrame",
    ]


def test_overview_counts_jobs_repositories_and_states_of_vms(client: EmClient) -> None:
    assert _told(client, "overview") == {
        "BackupServers": 1,
        "ProxyServers": 1,
        "RepositoryServers": 2,
        "RunningJobs": 1,
        "ScheduledJobs": 1,
        "SuccessfulVmLastestStates": 2,
        "WarningVmLastestStates": 2,
        "FailedVmLastestStates": 0,
        "Links": None,
        "Href": None,
        "Type": None,
    }


def test_vms_overview_adds_up_what_is_stored(client: EmClient, full: Site) -> None:
    files = client.get("/backupFiles?format=Entity", JSON).json["BackupFiles"]
    stored = {
        kind: sum(each["BackupSize"] for each in files if (each["FileType"] == "vbk") == kind)
        for kind in (True, False)
    }
    assert stored[True] and stored[False]
    found = _told(client, "vms_overview")
    assert (found["FullBackupPointsSize"], found["IncrementalBackupPointsSize"]) == (
        stored[True],
        stored[False],
    )
    assert found["SourceVmsSize"] == sum(each["DataSize"] for each in files)
    assert (found["ProtectedVms"], found["BackedUpVms"], found["RestorePoints"]) == (4, 4, 4)
    assert found["SuccessBackupPercents"] == 50
    assert (found["ReplicatedVms"], found["ReplicaRestorePointsSize"]) == (0, 0)


def test_job_statistics_are_of_the_last_day(client: EmClient) -> None:
    found = _told(client, "job_statistics")
    assert {name: found[name] for name in ("TotalJobRuns", "SuccessfulJobRuns", "WarningsJobRuns")} == {
        "TotalJobRuns": 3,
        "SuccessfulJobRuns": 1,
        "WarningsJobRuns": 1,
    }
    assert (found["FailedJobRuns"], found["RunningJobs"], found["ScheduledBackupJobs"]) == (0, 1, 1)
    assert found["MaxJobDuration"] == found["MaxBackupJobDuration"] == 3
    assert found["MaxDurationBackupJobName"] in ("job east", "job west")
    assert list(found)[-3:] == ["Links", "Href", "Type"]


def test_repository_frame_has_a_period_each(client: EmClient) -> None:
    found = _told(client, "repository")
    assert found["CapacityPlanningReportLink"] == ""
    assert [period["Name"] for period in found["Periods"]] == ["store east", "store west"]
    assert [(period["Capacity"], period["FreeSpace"]) for period in found["Periods"]] == [
        (10**12, 10**11),
        (10**12 + 1, 10**11 + 1),
    ]
    sizes = [period["BackupSize"] for period in found["Periods"]]
    files = client.get("/backupFiles?format=Entity", JSON).json["BackupFiles"]
    assert sum(sizes) == sum(each["BackupSize"] for each in files)
    shown = client.get("/reports/summary/repository").xml
    assert [tag(each) for each in shown] == ["Period", "Period"]
    assert [tag(each) for each in shown[0]] == ["Name", "Capacity", "FreeSpace", "BackupSize"]


def test_processed_vms_has_seven_days_of_which_today_is_last(client: EmClient, full: Site) -> None:
    days = _told(client, "processed_vms")["Days"]
    assert len(days) == 7
    today = full.engine.clock.now().date().isoformat()
    assert days[-1] == {"Timestamp": f"{today}T00:00:00Z", "ReplicatedVms": 0, "BackupedVms": 4}
    assert [day["BackupedVms"] for day in days[:-1]] == [0] * 6
    shown = client.get("/reports/summary/processed_vms").xml
    assert [attributes(each)["Timestamp"] for each in children(shown, "Day")] == [
        day["Timestamp"] for day in days
    ]


def test_reports_are_for_monitors(full: Site) -> None:
    full.add_account("monitor", [Role.PORTAL_USER])
    full.add_account("restorer", [Role.VM_RESTORE_OPERATOR])
    for path in ("", *(f"/{frame}" for frame in _FRAMES)):
        assert full.client("monitor").get(f"/reports/summary{path}").status == 200
        assert full.client("restorer").get(f"/reports/summary{path}").status == 403
