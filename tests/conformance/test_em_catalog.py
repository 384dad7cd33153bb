"""The catalog of VMs through the Enterprise Manager API: names, their restore points, and the files in those."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from restorium.catalog import restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.flows import mounts
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import guests
from tests.support.clock import ManualClock
from tests.support.em import JSON, EmClient, Site, attributes, children, links, site, tag
from tests.support.estate import add_host, add_job, record_point
from tests.support.lab import DOWNLOAD, Lab, names, outcome, task_of

ODD = ["a/b", "50% off?", "100%25", "one & <two>", "#1", "Grüße ☃", "web", "WEB", "C:\\x;y=z+w"]


@pytest.fixture
def named(database: Database, tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Site:
    """Two hosts, each with a job: a VM ``shared`` on both, and on the first the ``ODD`` ones."""
    with site(database, tmp_path_factory.mktemp("named"), clock) as made:
        with database.write() as connection:
            for host_name, others in (("east", ODD), ("west", [])):
                host = add_host(connection, host_name)
                vms = [JobVm(host.id, f"vm-{n}", name) for n, name in enumerate(["shared", *others])]
                job = add_job(connection, vms, f"job {host_name}")
                clock.advance(3600)
                record_point(connection, job, vms, clock.new_id(), clock.now())
                made.ids[host_name] = host.id
        return made


def listed(client: EmClient, path: str = "/catalog/vms") -> list[str]:
    return [each["Name"] for each in client.get(path, JSON).json["Refs"]]


def test_a_name_stands_for_all_vms_that_had_it(named: Site) -> None:
    client = named.client()
    assert sorted(listed(client)) == sorted([*ODD, "shared"])
    points = client.get("/catalog/vms/shared/vmRestorePoints?format=Entity", JSON).json[
        "CatalogVmRestorePoints"
    ]
    assert [each["Name"] for each in points] == ["2/3/2031 5:05:06 AM", "2/3/2031 6:05:06 AM"]
    related = [client.follow(each["Links"][3]["Href"], JSON).json for each in points]
    hosts = [each["HierarchyObjRef"].rpartition(":")[2].partition(".")[0] for each in related]
    assert hosts == [str(named.ids["east"]), str(named.ids["west"])]


def test_every_name_has_an_address_that_leads_to_it(named: Site) -> None:
    client = named.client()
    for each in client.get("/catalog/vms?format=Entity", JSON).json["CatalogVms"]:
        assert each["UID"] == f"urn:veeam:CatalogVm:{each['Name']}"
        assert client.follow(each["Href"], JSON).json == each
        found = client.follow(each["Links"][1]["Href"], JSON).json["Refs"]
        assert len(found) == (2 if each["Name"] == "shared" else 1), each["Name"]
        for point in found:
            up = client.follow(point["Links"][0]["Href"], JSON).json
            assert (up["Type"], up["Name"]) == ("CatalogVmReference", each["Name"])
    assert client.get("/CATALOG/VMS/web/").xml.get("Name") == "web"


def test_names_are_told_apart_by_case_and_filtered_without(named: Site) -> None:
    client = named.client()
    assert client.get("/catalog/vms/Shared").status == 404
    assert client.get("/catalog/vms/nothing%00").status == 404
    assert listed(client, "/catalog/vms?filter=" + quote('Name=="web"')) == ["WEB", "web"]
    assert listed(client, "/catalog/vms?filter=" + quote('UID=="urn:veeam:CatalogVm:web"')) == ["web"]
    page = client.get("/catalog/vms?pageSize=3&page=2&sortAsc=Name", JSON).json
    everything = listed(client, "/catalog/vms?sortAsc=Name")
    assert [each["Name"] for each in page["Refs"]] == everything[3:6]


def test_restore_points_are_found_by_their_moment(named: Site) -> None:
    client = named.client()
    path = "/catalog/vms/shared/vmRestorePoints"
    assert listed(client, f"{path}?sortDesc=Name") == ["2/3/2031 6:05:06 AM", "2/3/2031 5:05:06 AM"]
    late = quote('Name=="2/3/2031 6:05:06 AM"')
    assert listed(client, f"{path}?filter={late}") == ["2/3/2031 6:05:06 AM"]
    assert listed(client, f"{path}?filter=CreationTime%3C2031-02-03T06:00:00") == ["2/3/2031 5:05:06 AM"]
    assert client.get(f"{path}?filter={quote('Name==yesterday')}").status == 400


def test_a_restore_point_is_only_under_its_own_name(named: Site) -> None:
    client = named.client()
    [point] = client.get("/catalog/vms/web/vmRestorePoints", JSON).json["Refs"]
    assert client.follow(point["Href"]).status == 200
    for other in ("shared", "WEB", "nothing"):
        strange = point["Href"].replace("/web/", f"/{other}/").removeprefix(client.base)
        assert client.get(strange).status == 404
        assert client.post(f"{strange}?action=browse").status == 404
    assert client.get("/catalog/vms/nothing/vmRestorePoints").status == 404
    assert client.get("/catalog/vms/web/vmRestorePoints/1").status == client.get("/jobs/1").status


def test_operators_see_the_names_and_points_of_their_scope(named: Site) -> None:
    named.add_account("west", [Role.FILE_RESTORE_OPERATOR], [Scope(named.ids["west"])])
    named.add_account("one", [Role.SQL_RESTORE_OPERATOR], [Scope(named.ids["east"], "vm-1")])
    client = named.client("west")
    assert listed(client) == ["shared"]
    assert listed(client, "/catalog/vms/shared/vmRestorePoints") == ["2/3/2031 6:05:06 AM"]
    assert listed(named.client("one")) == ["a/b"]
    hidden, nowhere = client.get("/catalog/vms/web"), client.get("/catalog/vms/nob")
    assert (hidden.status, hidden.text) == (404, nowhere.text.replace("nob", "web"))
    early = named.client().get("/catalog/vms/shared/vmRestorePoints", JSON).json["Refs"][0]
    assert client.follow(early["Href"]).status == 404
    assert client.post(early["Href"].removeprefix(client.base) + "?action=browse").status == 404


def point_path(lab: Lab) -> str:
    return f"/catalog/vms/web/vmRestorePoints/{lab.point.id}"


def browsed(lab: Lab, client: EmClient) -> str:
    """Browse; gives the path that its files are below."""
    down = links(task_of(client, f"{point_path(lab)}?action=browse"))[0]
    assert (down["Rel"], down["Type"]) == ("Down", "FileSystemItemsList")
    return down["Href"].removeprefix(client.base).rstrip("/")


def test_a_browse_is_a_task_that_leads_to_the_files(lab: Lab) -> None:
    client = lab.site.client()
    task = task_of(client, f"{point_path(lab)}?action=browse")
    assert (children(task, "Operation")[0].text, outcome(task)[0]) == ("BrowseVM", "true")
    assert links(task)[0] == {
        "Rel": "Down",
        "Type": "FileSystemItemsList",
        "Href": f"{client.base}{point_path(lab)}/guestfs/",
    }
    top = client.follow(links(task)[0]["Href"]).xml
    assert (tag(top), [tag(child) for child in top]) == ("FileSystemEntry", ["Links", "DirectoryEntry"])
    assert client.follow(links(top)[0]["Href"]).xml.get("Type") == "CatalogVmRestorePointReference"
    down = {link["Href"].rpartition("=")[2]: link["Href"] for link in links(top[1])}
    assert list(down) == ["listAll", "listFiles", "listDirs"]
    volumes = client.follow(down["listAll"]).xml
    assert tag(volumes) == "FileSystemEntries"
    assert names(volumes, "Directories") == ["Volume$0:", "Volume$1:"]
    assert names(client.follow(down["listFiles"]).xml, "Files") == []


@pytest.mark.slow
def test_folders_are_browsed_down_and_up_in_pages_of_ten(lab: Lab) -> None:
    client = lab.site.client()
    guestfs = browsed(lab, client)
    root = children(client.get(f"{guestfs}?action=listDirs").xml, "Directories")[0][1]
    everything = client.follow(links(root)[0]["Href"]).xml
    assert names(everything, "Directories") == ["docs", "lost+found", "many"]
    up = client.follow(links(everything)[0]["Href"]).xml
    assert tag(up[1]) == "DirectoryEntry" and links(up)[0]["Type"] == "CatalogVmRestorePointReference"
    page = client.get(f"{guestfs}/Volume$1:/many?action=listFiles").xml
    seen = names(page, "Files")
    paging = children(page, "PagingInfo")[0]
    assert attributes(paging) == {"PageNum": "1", "PageSize": "10", "PagesCount": "25"}
    for _ in range(2):
        [forward] = [link for link in links(paging) if link["Rel"] == "Next"]
        page = client.follow(forward["Href"]).xml
        paging = children(page, "PagingInfo")[0]
        seen += names(page, "Files")
    assert seen == [f"file-{number:03}" for number in range(30)]
    file = client.get(f"{guestfs}/Volume$1:/readme.txt", JSON).json["FileEntry"]
    assert (file["Name"], file["Size"]) == ("readme.txt", 6)


@pytest.mark.slow
def test_a_restored_file_leads_to_its_bytes_and_its_session(lab: Lab) -> None:
    client = lab.site.client()
    file = client.get(f"{browsed(lab, client)}/Volume$1:/Large%20file.bin").xml[1]
    [restore] = links(file)
    assert restore["Rel"] == "Restore"
    task = task_of(client, restore["Href"].removeprefix(client.base), DOWNLOAD)
    assert children(task, "Operation")[0].text == "RestoreFile"
    assert outcome(task) == ("true", "Restore operations started successfully.")
    session, download = links(task)[:2]
    assert (session["Rel"], session["Type"], session["Name"]) == (
        "Related",
        "RestoreSession",
        "Restore job session",
    )
    assert str(client.follow(session["Href"]).xml.get("Name")).startswith("FLR_[web]@")
    assert download["Rel"] == "Download"
    assert client.follow(download["Href"]).body == lab.files["Large file.bin"]
    with lab.site.database.read() as connection:
        told = [each.message for each in restore_sessions.events(connection, lab.sessions()[0].id)]
    assert "administrator downloads Volume$1:/Large file.bin" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "body", [b"", b"<FileRestoreSpec><ToOriginalLocation Overwrite='true'/></FileRestoreSpec>"]
)
def test_a_restore_into_the_vm_says_that_it_is_not_done(lab: Lab, body: bytes) -> None:
    client = lab.site.client()
    answer = client.post(f"{browsed(lab, client)}/Volume$1:/readme.txt?action=restore", body)
    assert (answer.status, "ForDirectDownload" in answer.message) == (501, True)


def test_a_browse_is_a_session_that_ends_with_the_logon(lab: Lab) -> None:
    client = lab.site.client()
    guestfs = browsed(lab, client)
    assert browsed(lab, client) == guestfs
    [session] = lab.sessions()
    assert (session.name, session.state) == (
        f"FLR_[web]@{lab.clock.now():%Y-%m-%d %H:%M:%S}",
        SessionState.WORKING,
    )
    assert client.delete("/sessionMngr").status == 204
    [session] = lab.sessions()
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.SUCCESS)


@pytest.mark.slow
def test_a_cancelled_browse_ends_and_can_be_begun_anew(lab: Lab) -> None:
    client = lab.site.client()
    guestfs = browsed(lab, client)
    with lab.site.database.write() as connection:
        restore_sessions.request_cancel(connection, lab.sessions()[0].id)
    mounts.reconcile(lab.site.engine)
    answer = client.get(guestfs)
    assert (answer.status, "action=browse" in answer.message) == (404, True)
    lab.clock.advance(1)
    assert client.get(browsed(lab, client)).status == 200
    assert [session.state for session in lab.sessions()] == [SessionState.STOPPED, SessionState.WORKING]


def test_a_browse_is_no_mount_and_a_mount_no_browse(lab: Lab) -> None:
    client = lab.site.client()
    assert client.get(f"{point_path(lab)}/guestfs").status == 404
    mount = links(task_of(client, lab.mounts))[0]["Href"]
    assert client.get(f"{point_path(lab)}/guestfs").status == 404
    browsed(lab, client)
    assert [attributes(each)["Href"] for each in client.get(lab.mounts).xml] == [mount]
    assert client.get(f"{lab.mounts}/0").status == client.delete(f"{lab.mounts}/0").status == 404
    assert client.delete(mount.removeprefix(client.base)).status == 204
    assert client.get(f"{point_path(lab)}/guestfs").status == 200
    assert lab.site.client().get(f"{point_path(lab)}/guestfs").status == 404


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.PORTAL_USER, Role.VM_RESTORE_OPERATOR, Role.SQL_RESTORE_OPERATOR])
def test_every_role_browses_and_restores_within_its_scope(lab: Lab, role: Role) -> None:
    lab.site.add_account("somebody", [role])
    lab.site.add_account("stranger", [role], [])
    client = lab.site.client("somebody")
    guestfs = browsed(lab, client)
    assert client.get(f"{guestfs}/Volume$1:/readme.txt?action=download").body == b"hello\n"
    assert outcome(task_of(client, f"{guestfs}/Volume$1:/readme.txt?action=restore", DOWNLOAD))[0] == "true"
    stranger = lab.site.client("stranger")
    assert stranger.post(f"{point_path(lab)}?action=browse").status == 404
    assert stranger.get(guestfs).status == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Volume$9:", 404),
        ("/Volume$1:/%2e%2e/%2e%2e/etc/passwd?action=download", 404),
        ("/Volume$1:%2Freadme.txt", 200),
        ("/Volume$1:/readme.txt?action=listAll", 400),
        ("?action=listAll&pageSize=1000000", 400),
        ("?action=download", 200),
    ],
)
def test_paths_of_files_are_those_below_the_browse(lab: Lab, path: str, status: int) -> None:
    client = lab.site.client()
    answer = client.get(f"{browsed(lab, client)}{path}")
    assert answer.status == status, answer.text


@pytest.mark.slow
def test_a_vm_without_a_file_system_cannot_be_browsed(
    database: Database, tmp_path_factory: pytest.TempPathFactory, clock: ManualClock
) -> None:
    folder = tmp_path_factory.mktemp("blank")
    (folder / "blank.raw").write_bytes(bytes(2 * guests.MIB))
    with site(database, folder, clock) as made:
        point = guests.keep(made.engine, folder, {"web": [folder / "blank.raw"]})["web"]
        lab = Lab(made, clock, point, {})
        success, message = outcome(task_of(made.client(), f"{point_path(lab)}?action=browse"))
        assert (success, "no file system" in message) == ("false", True)
        assert lab.sessions()[0].result is SessionResult.FAILED
        assert made.client().get(f"{point_path(lab)}/guestfs").status == 404
