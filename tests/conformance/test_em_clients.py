"""Requests of public clients that once came out wrong, as they send them; docs/clients.md names the clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from restorium.catalog import tables
from tests.support.em import JSON, EmClient, Site, links, standing_site


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One of its VMs was backed up without anything to say."""
    with standing_site(request, "sqlite") as made:
        with made.database.write() as connection:
            connection.execute(
                sa.update(tables.task_sessions)
                .where(tables.task_sessions.c.reason == "reason 0")
                .values(reason=None)
            )
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


def test_zabbix_files_each_report_by_the_name_of_its_link(client: EmClient) -> None:
    filed = {
        link["Name"]: client.follow(link["Href"], JSON).json
        for link in client.get("/reports/summary", JSON).json["Links"]
    }
    assert filed["JobStatistics"]["TotalJobRuns"] >= 1
    assert filed["Repositories"]["Periods"]


def test_get_veeam_storage_reads_the_vms_of_a_job(client: EmClient, full: Site) -> None:
    found = client.get(f"/jobs/{full.ids['Job']}/includes", JSON).json
    assert [each["Name"] for each in found["ObjectInJobs"]] == ["west 1 & <co>", "west 2 & <co>"]
    job = client.get(f"/jobs/{full.ids['Job']}?format=Entity", JSON).json
    assert len(job["JobInfo"]["BackupJobInfo"]["Includes"]["ObjectInJobs"]) == 2


def test_get_veeam_ent_prints_the_reason_of_each_task(client: EmClient) -> None:
    sessions = client.get("/backupTaskSessions?format=Entity", JSON).json["BackupTaskSessions"]
    assert {each["Reason"] for each in sessions} == {"", "reason 1"}


def test_ocs_inventory_and_cloudbolt_find_the_file_of_a_vm_restore_point(client: EmClient) -> None:
    for shown in client.get("/vmRestorePoints").xml:
        linked = links(shown)
        assert [link["Type"] for link in linked] == [
            "BackupServerReference",
            "RestorePointReference",
            "BackupFileReference",
            "VmRestorePoint",
        ]
        assert client.follow(linked[2]["Href"]).status == 200 and linked[2]["Name"]
