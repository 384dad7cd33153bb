"""Clients that others wrote for this API, as they come from the package index, against a running server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from veeam.client import VeeamClient
from veeam.errors import LoginFailError
from veeam_easy_connect import VeeamEasyConnect
from veeam_em.manager import VeeamEm

from restorium.cli.demo.server import DemoServer
from tests.support.live import lived_in

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    with lived_in(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture
def veeam(server: DemoServer, monkeypatch: pytest.MonkeyPatch) -> VeeamClient:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.folder.certificate))
    return VeeamClient(f"{server.url}/api", "administrator", server.password, verify=True)


@pytest.fixture
def veeam_em(server: DemoServer, monkeypatch: pytest.MonkeyPatch) -> VeeamEm:
    monkeypatch.setenv("VEEAMEM_API_USER", "administrator")
    monkeypatch.setenv("VEEAMEM_API_USER_PASS", server.password)
    client = VeeamEm(api_endpoint=server.url, ssl_verify=False)
    client.get_token()
    return client


def test_veeam_follows_a_backup_down_to_its_vms(veeam: VeeamClient) -> None:
    [job] = veeam.get_jobs()["Refs"]
    assert job["Name"] == "nightly"
    assert veeam.get_job(_guid(job))["JobType"] == "Backup"
    [backup] = veeam.get_backups()["Refs"]
    assert veeam.get_backup(_guid(backup))["Platform"] == "VMware"
    points = veeam.get_restore_points(_guid(backup))["Refs"]
    assert len(points) == 2
    [vm] = veeam.get_vm_restore_points(_guid(points[0]))["Refs"]
    assert vm["Name"].startswith("web@")


def test_veeam_queries_sessions_by_date_name_and_result(veeam: VeeamClient) -> None:
    assert len(veeam.get_jobs_1_day()) == 2
    assert veeam.get_failed_jobs() == []
    assert len(veeam.get_successful_jobs("nightly", "2026-01-01T00:00:00")) == 2
    assert veeam.get_successful_jobs("other", "2026-01-01T00:00:00") == []
    assert veeam.get_persistently_failed_jobs() == []
    [job] = veeam.get_jobs()["Refs"]
    sessions = veeam.get_backup_sessions(_guid(job))["BackupJobSessions"]
    assert [session["State"] for session in sessions] == ["Stopped", "Stopped"]


def test_veeam_reads_all_reports(veeam: VeeamClient) -> None:
    [repository] = veeam.get_repos()
    assert repository["message_type"] == "repo"
    assert repository["BackupSize"] > 0 and 0 < repository["percentage_free"] < 100
    assert veeam.get_summary_overview()["SuccessfulVmLastestStates"] == 1
    assert veeam.get_summary_vms()["RestorePoints"] == 2
    assert veeam.get_summary_job_stats()["SuccessfulJobRuns"] == 2
    assert veeam.get_vms_processed_day()["Days"][-1]["BackupedVms"] == 1


def test_veeam_logs_out(veeam: VeeamClient) -> None:
    veeam.logout()
    assert veeam.session.get(f"{veeam.url}/jobs").status_code == 401


def test_veeam_is_told_of_a_wrong_password(server: DemoServer) -> None:
    with pytest.raises(LoginFailError):
        VeeamClient(f"{server.url}/api", "administrator", "wrong")


def test_veeam_em_pages_through_task_sessions(veeam_em: VeeamEm) -> None:
    paged = veeam_em.get_backup_task_sessions(page_size=1)
    assert len(paged) == 2
    assert {session["VmDisplayName"] for session in paged} == {"web"}
    assert {session["Result"] for session in paged} == {"Success"}


def test_veeam_em_reads_hierarchy_roots_and_its_logon(veeam_em: VeeamEm) -> None:
    [root] = veeam_em.get_hierarchy_roots()
    assert root["Name"] == "lab"
    assert veeam_em.get_hierarchy_root(root["UUID"])["HostType"] == "ESXi"
    [logon] = veeam_em.get_logon_sessions()
    assert veeam_em.get_logon_session(logon["SessionId"])["UserName"] == "administrator"


def test_veeam_em_makes_changes_and_deletes_an_account(veeam_em: VeeamEm) -> None:
    roles = {role["Name"]: role for role in veeam_em.get_roles()}
    assert veeam_em.get_role(roles["Portal User"]["UUID"])["Name"] == "Portal User"
    [root] = veeam_em.get_hierarchy_roots()
    reference = veeam_em.get_hierarchy_obj_ref_type("VMware", "Vm", root["UUID"], "web", validate_h_root=True)
    for content_type, name in (("json", "LAB\\ada"), ("xml", "LAB\\grace")):
        veeam_em.create_account(
            name,
            "User",
            [roles["VM Restore Operator"]["UID"]],
            restore_all_vms=True,
            content_type=content_type,
        )
        [account] = veeam_em.get_accounts_by_name(name)
        uuid = account["UUID"]
        assert veeam_em.get_account(uuid)["AllowRestoreAllVms"] is True
        assert veeam_em.disable_all_vms_restore_scope_account(uuid) is False
        assert veeam_em.get_account(uuid)["AllowRestoreAllVms"] is False
        veeam_em.add_scopes_to_account(uuid, [(reference, "web")])
        [scope] = veeam_em.get_account_scopes(uuid)["EnterpriseAccountHierarchyScopes"]
        assert veeam_em.get_account_scope(uuid, scope["Href"].rpartition("/")[2])["Name"] == "web"
        veeam_em.add_role_to_account(roles["Portal User"]["UUID"], uuid)
        assert len(veeam_em.get_account_roles(uuid)["EnterpriseAccountInRoleList"]) == 2
        veeam_em.remove_role_from_account(roles["Portal User"]["UUID"], uuid)
        [held] = veeam_em.get_account_roles(uuid)["EnterpriseAccountInRoleList"]
        assert held["RoleName"] == "VM Restore Operator"
        assert veeam_em.delete_account(uuid)["status"] == 204
        assert veeam_em.get_accounts_by_name(name) == []


def test_easy_connect_logs_on_and_reads_the_restore_session(
    server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.folder.certificate))
    client = VeeamEasyConnect("administrator", server.password).ent_man()
    client.url_end = f":{urlsplit(server.url).port}/api/sessionMngr/?v=latest"
    client.login("127.0.0.1")
    assert client.response.status_code == 201
    [session] = client.get("restoreSessions?format=Entity", full=False)["RestoreSessions"]
    assert (session["State"], session["Result"], session["Progress"]) == ("Stopped", "Success", 100)
    assert session["RestoredObjRef"].endswith(".web2")


def _guid(reference: dict[str, str]) -> str:
    return reference["UID"].rpartition(":")[2]
