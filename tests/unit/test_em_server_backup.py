"""Quick backup and VeeamZip through the Enterprise Manager API, to real restore points; and reading hosts anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from restorium.catalog import accounts, job_sessions, jobs, repositories, retention, servers
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.em import app as em
from restorium.flows import engine as engines
from restorium.flows import stored_secrets
from restorium.flows.engine import Engine
from restorium.vault import Vault
from restorium.vocabulary.errors import StorageUnavailable
from restorium.vocabulary.retention import KeepFor
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult
from tests.support.clock import ManualClock
from tests.support.em import JSON, NAMESPACE, PASSWORD, Answer, EmClient
from tests.support.flows import Site, digest, make_vm
from tests.support.waiting import wait_until


class Place:
    """An installation that runs, with two VMs, a job of one of them, and its face."""

    def __init__(self, site: Site) -> None:
        self.site = site
        for name in ("web", "mail"):
            make_vm(site.images, name, size_mib=4, data_mib=1)
        self.job_id = site.set_up(["web"])
        with site.database.read() as connection:
            self.host_id = jobs.objects(connection, self.job_id)[0].host_id
            self.repository_id: UUID = jobs.get(connection, self.job_id).repository_id
            self.server = f"/backupServers/{servers.get(connection).id}"
        self.app = em.create(site.engine)
        self.administrator = self.client("administrator", [Role.PORTAL_ADMINISTRATOR])

    def client(self, name: str, roles: list[Role], scopes: list[Scope] | None = None) -> EmClient:
        with self.site.database.write() as connection:
            made = accounts.add(
                connection, name, PASSWORD, roles=frozenset(roles), restore_all=scopes is None
            )
            accounts.set_scopes(connection, made.id, scopes or [], restore_all=scopes is None)
        return EmClient(self.app).log_on(name)

    def ref(self, vm: str) -> str:
        return f"urn:VMware:Vm:{self.host_id}.{vm}"

    def quick(self, vm: str, client: EmClient | None = None) -> dict[str, Any]:
        body = f'<QuickBackupStartupSpec xmlns="{NAMESPACE}"><VmRef>{self.ref(vm)}</VmRef></QuickBackupStartupSpec>'
        asker = client or self.administrator
        return self.done(asker, asker.post(f"{self.server}?action=quickbackup", body.encode()))

    def zip(self, vm: str | list[str], client: EmClient | None = None, **more: Any) -> Answer:
        refs = self.ref(vm) if isinstance(vm, str) else [self.ref(each) for each in vm]
        body = {
            "VmRef": refs,
            "RepositoryUid": f"urn:veeam:Repository:{self.repository_id}",
            "BackupRetention": "Never",
            **more,
        }
        headers = {"Content-Type": "application/json", **JSON}
        path = f"{self.server}?action=veeamzip"
        return (client or self.administrator).post(path, json.dumps(body).encode(), headers)

    def done(self, client: EmClient, answer: Answer) -> dict[str, Any]:
        """The finished task."""
        assert answer.status == 202, answer.text
        found: dict[str, Any] = client.follow(answer.header("Location") or "", JSON).json
        return found

    def ended(self, task: dict[str, Any]) -> Any:
        """The row of the session that a task leads to, once that has stopped."""
        assert task["Result"]["Success"] is True, task
        link = task["Links"][0]
        assert (link["Rel"], link["Type"]) == ("Related", "BackupJobSession")
        return self.site.job_ended(UUID(link["Href"].partition("?")[0][-36:]))


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    site = Site(tmp_path, database_url)
    made = Place(site)
    site.engine.start()
    yield made
    site.close()


@pytest.mark.slow
def test_quick_backup_adds_an_increment_of_one_vm_to_its_job(place: Place) -> None:
    refused = place.quick("web")["Result"]
    assert refused["Success"] is False
    assert "no job has backed up the VM 'web' yet" in refused["Message"]
    assert "no job backs up the VM 'mail'" in place.quick("mail")["Result"]["Message"]
    place.site.back_up(place.job_id)
    task = place.quick("web")
    assert task["Operation"] == "QuickBackup"
    session = place.ended(task)
    assert (session.result, session.job_id) == (SessionResult.SUCCESS, place.job_id)
    client = place.administrator
    shown = client.get(f"/backupSessions/{session.id}?format=Entity", JSON).json
    assert (shown["JobType"], shown["JobName"], shown["IsRetry"]) == ("Backup", "nightly", False)
    first, second = client.get("/vmRestorePoints?format=Entity&sortAsc=CreationTime", JSON).json[
        "VmRestorePoints"
    ]
    assert [first["PointType"], second["PointType"]] == ["Full", "Increment"]
    assert len(client.get("/backups", JSON).json["Refs"]) == 1


@pytest.mark.slow
def test_veeam_zip_is_a_full_backup_of_no_job_that_restores(place: Place) -> None:
    place.site.back_up(place.job_id)
    task = place.done(place.administrator, place.zip("web", CompressionLevel=5, DisableGuestQuiescence=True))
    assert task["Operation"] == "VeeamZip"
    assert "CompressionLevel 5 has no effect" in task["Result"]["Message"]
    session = place.ended(task)
    assert session.result is SessionResult.SUCCESS, session.reason
    assert any("CompressionLevel 5" in event for event in place.site.events(session.id))
    client = place.administrator
    shown = client.get(f"/backupSessions/{session.id}?format=Entity", JSON).json
    assert (shown["JobType"], shown["JobName"]) == ("Backup", "VeeamZip")
    assert shown.get("JobUid") is None and "Job" not in {link["Type"] for link in shown["Links"]}
    asked = client.get(f'/query?type=Backup&filter=Name=="{shown["Name"].replace(" ", "%20")}"', JSON)
    [backup] = asked.json["Refs"]["Refs"]
    [point] = client.get(f"/backups/{backup['UID'][-36:]}/restorePoints", JSON).json["Refs"]
    below = f"/restorePoints/{point['UID'][-36:]}/vmRestorePoints?format=Entity"
    [vm] = client.get(below, JSON).json["VmRestorePoints"]
    assert (vm["PointType"], vm["Algorithm"], vm["VmDisplayName"]) == ("Full", "Full", "web")
    [task_session] = client.get(f"/backupSessions/{session.id}/taskSessions?format=Entity", JSON).json[
        "BackupTaskSessions"
    ]
    assert (task_session["VmDisplayName"], task_session["Result"]) == ("web", "Success")
    restored = place.site.restore(UUID(vm["UID"][-36:]), keep_original=True, new_name="again")
    assert restored.result is SessionResult.SUCCESS, restored.reason
    assert digest(place.site.images / "again.raw") == digest(place.site.images / "web.raw")


@pytest.mark.slow
def test_what_veeam_zip_cannot_do_is_refused_and_makes_nothing(place: Place) -> None:
    key = stored_secrets.add_password(place.site.engine, "old", "s3cret")
    for status, said, more in (
        (501, "quiescent", {"DisableGuestQuiescence": False}),
        (501, "encrypted with their repository's key", {"PasswordKeyId": str(key)}),
        (404, str(UUID(int=7)), {"PasswordKeyId": str(UUID(int=7))}),
        (400, "BackupRetention", {"BackupRetention": "Tuesday"}),
        (400, "CompressionLevel", {"CompressionLevel": 6}),
        (501, "is no VM", {"VmRef": f"urn:VMware:Folder:{place.host_id}.web"}),
    ):
        answer = place.zip("web", **more)
        assert (answer.status, said in answer.message) == (status, True), answer.text
        assert "s3cret" not in answer.text
    for said, answer in (
        ("no VM 'nobody'", place.zip("nobody")),
        ("more than once", place.zip(["web", "web"])),
        ("no repository", place.zip("web", RepositoryUid=str(uuid4()))),
    ):
        result = place.done(place.administrator, answer)["Result"]
        assert (result["Success"], said in result["Message"]) == (False, True), result
    assert place.administrator.get("/backupSessions", JSON).json == {"Refs": []}


@pytest.mark.slow
def test_portal_user_backs_up_what_is_in_its_scope_alone(place: Place) -> None:
    own = place.client("user", [Role.PORTAL_USER], [Scope(place.host_id, "web")])
    for vm in ("mail", "nobody"):
        result = place.done(own, place.zip(vm, own))["Result"]
        assert result["Success"] is False
        assert result["Message"].startswith(f"there is no VM {place.ref(vm)}")
        assert place.quick(vm, own)["Result"]["Message"] == result["Message"]
    seen = place.ended(place.done(own, place.zip("web", own)))
    hidden = place.ended(place.done(place.administrator, place.zip("mail")))
    refs = own.get("/backupSessions", JSON).json["Refs"]
    assert [each["UID"][-36:] for each in refs] == [str(seen.id)]
    assert own.get(f"/backupSessions/{hidden.id}").status == 404


@pytest.mark.slow
def test_collecting_tells_new_names_and_room_and_what_does_not_answer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = place.site.images / "web.vm.toml"
    description.write_text(description.read_text().replace('name = "web"', 'name = "front"'))
    make_vm(place.site.images, "new", size_mib=4, data_mib=1)
    with place.site.database.write() as connection:
        repositories.record_usage(connection, place.repository_id, capacity_bytes=5, free_bytes=5)
    client = place.administrator
    task = place.done(client, client.post(f"{place.server}?action=collect"))
    assert (task["Operation"], task["Result"]["Success"]) == ("CollectingBackupServer", True), task
    [included] = client.get(f"/jobs/{place.job_id}/includes", JSON).json["ObjectInJobs"]
    assert included["Name"] == "front"
    assert client.get("/repositories?format=Entity", JSON).json["Repositories"][0]["FreeSpace"] > 5
    found = client.get(f"/lookup?host={place.host_id}&name=new&type=Vm", JSON).json["HierarchyItems"]
    assert [each["ObjectRef"] for each in found] == [place.ref("new")]

    def away(_vault: Vault) -> None:
        raise StorageUnavailable("the disk is away")

    monkeypatch.setattr(Vault, "usage", away)
    failed = place.done(client, client.post(f"{place.server}?action=collect"))["Result"]
    assert (failed["Success"], "repository 'main': the disk is away" in failed["Message"]) == (False, True)


@pytest.mark.slow
def test_backup_goes_when_its_time_is_over(
    database_url: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the catalog and from the repository, also where that does not answer at first; others stay."""
    monkeypatch.setattr(engines, "HEARTBEAT_SECONDS", 0.05)
    site = Site(tmp_path, database_url)
    site.database.close()
    site.database = Database.open(database_url, clock)
    site.engine = Engine(site.settings, site.database, clock)
    place = Place(site)
    site.engine.start()
    client = place.administrator
    going = place.ended(place.done(client, place.zip("web", BackupRetention="In3days")))
    staying = place.ended(place.done(client, place.zip("mail")))
    assert going.delete_after == KeepFor.IN_3_DAYS.until(going.created_at)
    vault = site.engine.vault(place.repository_id)
    assert len(vault.points()) == 2
    delete, refused = Vault.delete_point, []

    def away(_vault: Vault, name: str) -> None:
        refused.append(name)
        raise StorageUnavailable("the disk is away")

    monkeypatch.setattr(Vault, "delete_point", away)
    clock.advance(3 * 86_400)
    wait_until(lambda: bool(refused), timeout=20)
    assert [point.vm_name for point in site.points()] == ["mail"]
    assert len(vault.points()) == 2
    monkeypatch.setattr(Vault, "delete_point", delete)
    clock.advance(600)

    def left() -> bool:
        with site.database.read() as connection:
            return bool(retention.due(connection))

    wait_until(lambda: not left(), timeout=20)
    assert vault.points() == [site.points()[0].vault_point]
    with site.database.read() as connection:
        assert job_sessions.get(connection, going.id).restore_point_id is None
        assert job_sessions.get(connection, staying.id).restore_point_id is not None
    site.close()


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (KeepFor.NEVER, None),
        (KeepFor.TONIGHT, datetime(2028, 2, 1, tzinfo=UTC)),
        (KeepFor.TOMORROW_NIGHT, datetime(2028, 2, 2, tzinfo=UTC)),
        (KeepFor.IN_3_DAYS, datetime(2028, 2, 3, 12, tzinfo=UTC)),
        (KeepFor.IN_1_WEEK, datetime(2028, 2, 7, 12, tzinfo=UTC)),
        (KeepFor.IN_1_MONTH, datetime(2028, 2, 29, 12, tzinfo=UTC)),
        (KeepFor.IN_6_MONTHS, datetime(2028, 7, 31, 12, tzinfo=UTC)),
        (KeepFor.IN_7_YEARS, datetime(2035, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_each_retention_has_its_moment(keep: KeepFor, expected: datetime | None) -> None:
    assert keep.until(datetime(2028, 1, 31, 12, tzinfo=UTC)) == expected
