"""What this server never has: declared, routed, queried and linked to as the reference says, and honestly empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionState
from tests.support.em import FACTS, JSON, EmClient, Site, allowed, links, standing_site, tag

ABSENT: dict[str, Any] = json.loads((Path(__file__).parent.parent / "facts" / "em-absent.json").read_text())
ENDPOINTS = [(method, path) for method, _, path in (each.partition(" ") for each in ABSENT["endpoints"])]
QUERIES: dict[str, dict[str, Any]] = ABSENT["queries"]
SERVICES = ("/agents", "/nas", "/cloud", "/vCloud", "/selfService/vSphere")
_GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
_VALUES = {
    "UidType": _GUID,
    "DateTime": "2026-01-31",
    "Long": "1",
    "Int": "1",
    "Boolean": "true",
}
_PARTS = ("Credentials", "Passwords", "NasObject", "CloudSubtenant", "ObjectInAgentBackupJob")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, request.param) as made:
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


def _named(path: str) -> str:
    return path.replace("{ID}", _GUID).replace("{filepath}", "C:")


def test_lists_are_empty_in_each_form_and_format(client: EmClient) -> None:
    lists = [path for method, path in ENDPOINTS if method == "GET" and "{" not in path]
    assert len(lists) > 40
    for path in lists:
        if path in SERVICES:
            continue
        shown = client.get(path).xml
        assert (tag(shown), len(shown)) == ("EntityReferences", 0), path
        assert client.get(path, JSON).json == {"Refs": []}
        [(plural, held)] = client.get(f"{path}?format=Entity", JSON).json.items()
        assert held == []
        assert tag(client.get(f"{path}?format=Entity").xml) == plural
        paged = client.get(f"{path}?pageSize=10", JSON).json
        assert paged["PagingInfo"]["PagesCount"] == 1


def test_what_is_not_there_is_not_found_and_cannot_be_made(client: EmClient) -> None:
    for method, path in ENDPOINTS:
        if "{" in path:
            refused = client.request(method, _named(path), JSON)
            assert refused.status == 404, (method, path, refused.text)
            assert _GUID in refused.message
        elif method != "GET":
            refused = client.request(method, path, JSON)
            assert refused.status == 501, (method, path, refused.text)
            assert refused.json["StatusCode"] == 501


def test_groups_lead_to_their_lists(client: EmClient) -> None:
    for path in SERVICES:
        found = client.get(path).xml
        assert links(found)[0]["Type"] == "LogonSession"
        down = links(found)[1:]
        assert down
        for link in down:
            assert client.follow(link["Href"]).status == 200, link


def test_lists_below_what_there_is_are_empty(client: EmClient, full: Site) -> None:
    for path in (
        f"/backups/{full.ids['Backup']}/childbackups",
        f"/backupSessions/{full.ids['BackupJobSession']}/agentManagementSessions",
        f"/restorePoints/{full.ids['RestorePoint']}/agentRestorePoints",
    ):
        assert client.get(path, JSON).json == {"Refs": []}
        assert client.get(path.replace(path.split("/")[2], _GUID)).status == 404


def test_each_role_gets_as_far_as_the_reference_says(full: Site) -> None:
    checked = 0
    for role in Role:
        full.add_account(role, [role])
        client = full.client(role)
        for method, path in ENDPOINTS:
            may = allowed(role, method, path)
            if may is not None:
                answer = client.request(method, _named(path))
                assert (answer.status != 403) == may, (role, method, path, answer.status)
                assert answer.status not in (400, 401, 405)
                checked += 1
        for kind in QUERIES:
            may = allowed(role, "GET", f"/query?type={kind}")
            if may is not None:
                answer = client.get(f"/query?type={kind}")
                assert (answer.status == 200) == may, (role, kind, answer.status)
                checked += 1
    assert checked > 1000


@pytest.mark.slow
def test_each_type_is_queried_by_its_documented_fields(client: EmClient) -> None:
    for kind, fields in QUERIES.items():
        found = client.get(f"/query?type={kind}&format=Entities", JSON).json
        if kind == "ObjectInJob":
            assert len(found["Resources"]["ObjectsInJob"]["ObjectInJobs"]) == 4
        elif kind in _PARTS:
            [(plural, held)] = found["Resources"].items()
            assert held == {plural: []}
        else:
            [(slot, held)] = [(name, value) for name, value in found["Entities"].items() if value]
            assert slot in FACTS["slots"] and list(held.values()) == [[]]
            assert client.get(f"/query?type={kind}", JSON).json["Refs"] == {"Refs": []}
        for name, written in fields.items():
            values = (
                written
                if isinstance(written, list)
                else [_GUID if name == "UID" else _VALUES.get(written, "x")]
            )
            for value in values:
                for operator in ("==", ">="):
                    asked = f'{name.upper()}{operator}"{value}"'
                    answer = client.get(f"/query?type={kind}&filter={quote(asked)}")
                    assert answer.status == 200, (kind, asked, answer.text)
            answer = client.get(f"/query?type={kind}&sortAsc={name}&pageSize=5")
            assert answer.status == 200, (kind, name)
            if isinstance(written, list):
                assert client.get(f"/query?type={kind}&filter={name}==Kettle").status == 400
        refused = client.get(f"/query?type={kind}&filter=Colour==red")
        assert refused.status == 400
        assert "'Colour'" in refused.message


def test_objects_of_jobs_are_queried_across_jobs(client: EmClient, full: Site) -> None:
    asked = "/query?type=ObjectInJob&sortDesc=Name&filter=" + quote('JobName=="job west"')
    held = client.get(asked, JSON).json["Resources"]["ObjectsInJob"]["ObjectInJobs"]
    assert [each["Name"] for each in held] == ["west 2 & <co>", "west 1 & <co>"]
    assert client.follow(held[0]["Href"], JSON).json == held[0]


def test_every_type_of_the_reference_is_known_to_the_query_service(client: EmClient) -> None:
    offered = {link["Type"].lower() for link in links(client.get("/querySvc").xml)}
    assert offered == {kind.lower() for kind in (*FACTS["types"], *QUERIES, "Task")}
    assert len(offered) == 49


def test_documented_values_that_nothing_has_are_compared_by_their_place(client: EmClient) -> None:
    def found(condition: str, kind: str = "BackupJobSession") -> int:
        asked = f"/query?type={kind}&filter={quote(condition)}"
        return len(client.get(asked, JSON).json["Refs"]["Refs"])

    assert found(f"State=={SessionState.STOPPED}") == 2
    for value in ("Pausing", "resuming"):
        places = {
            operator: found(f"State{operator}{value}") for operator in ("==", "!=", "<", "<=", ">", ">=")
        }
        assert places == {"==": 0, "!=": 2, "<": 0, "<=": 0, ">": 2, ">=": 2}
    assert found("JobType<NasBackup") == 2
    assert found("JobType>AgentBackup") == 0
    assert found("Platform<AgentForLinux", "Backup") == 2
    assert found("Platform>=CustomPlatform", "Backup") == 0
    assert found("ManagedServerType!=NdmpServer", "ManagedServer") == 2
    assert client.get("/query?type=BackupJobSession&filter=State==Sleeping").status == 400


_LOGON = (
    "backupServers managedServers jobs failoverPlans hierarchyRoots repositories backups restorePoints"
    " vmRestorePoints vAppRestorePoints replicas vmReplicaPoints catalog/vms backupSessions restoreSessions"
    " replicaSessions backupTaskSessions replicaTaskSessions security wanAccelerators backupFiles externalRepositories"
    " cdpPolicies cdpReplicaSessions cdpReplicaTaskSessions vAppReplicaPoints cdpReplica/vms cdpReplica/vApps"
    " systemSessions tasks querySvc lookupSvc reports/summary"
    " backupServers* managedServers* backupServers?action=create jobs* failoverPlans* hierarchyRoots*"
    " repositories* backups* restorePoints* vmRestorePoints* vAppRestorePoints* replicas* vmReplicaPoints* catalog/vms*"
    " backupSessions* restoreSessions* replicaSessions* backupTaskSessions* replicaTaskSessions*"
    " wanAccelerators* vCloud backupFiles* agents selfService/vSphere externalRepositories* nas cdpPolicies*"
    " cdpReplicaSessions* cdpReplicaTaskSessions* vAppReplicaPoints* cdpReplica/vms* cdpReplica/vApps*"
    " systemSessions* cloud"
)
"""The links of recorded answers in their order; a star stands for ``format=Entity``."""


def test_a_logon_links_to_all_in_the_recorded_order(client: EmClient, full: Site) -> None:
    def linked(one: EmClient) -> list[str]:
        [session] = one.get("/logonSessions").xml
        return [link["Href"].removeprefix(f"{one.base}/") for link in links(session)[1:-1]]

    assert linked(client) == [path.replace("*", "?format=Entity") for path in _LOGON.split()]
    full.add_account("restorer", [Role.SQL_RESTORE_OPERATOR])
    assert linked(full.client("restorer")) == [
        "failoverPlans",
        "catalog/vms",
        "restoreSessions",
        "tasks",
        "failoverPlans?format=Entity",
        "catalog/vms?format=Entity",
        "restoreSessions?format=Entity",
    ]
