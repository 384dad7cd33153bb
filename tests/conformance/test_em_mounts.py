"""Files of a restore point through the Enterprise Manager API, as a client restores them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest

from restorium.catalog import restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.listing import Visibility
from restorium.evidence import PublicKey
from restorium.flows import evidence, mounts
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import evidence as independent
from tests.support import guests
from tests.support.clock import ManualClock
from tests.support.em import JSON, EmClient, attributes, children, links, site, tag
from tests.support.lab import DOWNLOAD, Lab, names, outcome, task_of


def mounted(lab: Lab, client: EmClient) -> str:
    """Mount; gives the path of the mount."""
    related = links(task_of(client, lab.mounts))[0]
    assert (related["Rel"], related["Type"]) == ("Related", "VmRestorePointMount")
    return related["Href"].removeprefix(client.base)


def test_a_mount_is_made_by_a_task_that_names_it(lab: Lab) -> None:
    client = lab.site.client()
    task = task_of(client, lab.mounts)
    assert children(task, "Operation")[0].text == "MountRestorePoint"
    assert outcome(task)[0] == "true"
    assert links(task)[0] == {
        "Rel": "Related",
        "Type": "VmRestorePointMount",
        "Name": f"{lab.point.id}@1",
        "Href": f"{client.base}{lab.mounts}/1",
    }
    assert links(task_of(client, lab.mounts))[0]["Name"] == f"{lab.point.id}@2"


@pytest.mark.parametrize("body", [b'{"OsKind":"Linux"}', b"<MountSpec><OsKind>Windows</OsKind></MountSpec>"])
def test_a_mount_takes_the_kind_of_system(lab: Lab, body: bytes) -> None:
    assert outcome(task_of(lab.site.client(), lab.mounts, body))[0] == "true"


def test_a_mount_of_an_unknown_kind_of_system_is_refused(lab: Lab) -> None:
    answer = lab.site.client().post(lab.mounts, b'{"OsKind":"CP/M"}')
    assert (answer.status, "OsKind" in answer.message) == (400, True)


def test_a_mount_lists_its_volumes(lab: Lab) -> None:
    client = lab.site.client()
    path = mounted(lab, client)
    one = client.get(path).xml
    assert tag(one) == "VmRestorePointMount"
    assert [link["Rel"] for link in links(one)] == ["Delete"]
    assert names(one, "FSRoots") == ["Volume$0:", "Volume$1:"]
    listed = client.get(lab.mounts).xml
    assert (tag(listed), [tag(each) for each in listed]) == ("VmRestorePointMounts", ["VmRestorePointMount"])
    found = client.get(path, JSON).json
    assert [root["Path"] for root in found["FSRoots"]["FSRoots"]] == ["Volume$0:", "Volume$1:"]


def test_a_folder_is_browsed_by_the_links_of_its_mount(lab: Lab) -> None:
    client = lab.site.client()
    root = children(client.get(mounted(lab, client)).xml, "FSRoots")[0][1]
    down = {link["Href"].rpartition("=")[2]: link["Href"] for link in links(root)}
    everything = client.follow(down["listAll"]).xml
    assert tag(everything) == "FileSystemEntries"
    assert [tag(child) for child in everything] == ["Links", "Files", "Directories", "PagingInfo"]
    folders, files = ["docs", "lost+found", "many"], ["Empty", "Large file.bin", "readme.txt"]
    assert (names(everything, "Directories"), names(everything, "Files")) == (folders, files)
    assert names(client.follow(down["listDirs"]).xml, "Directories") == folders
    assert names(client.follow(down["listFiles"]).xml, "Files") == files
    docs = next(each for each in children(everything, "Directories")[0] if "docs" in str(each.get("Href")))
    inside = client.follow(links(docs)[0]["Href"]).xml
    assert names(inside, "Files") == ["grüße ☃.txt"]
    assert links(inside)[0]["Rel"] == "Up"
    assert names(client.follow(links(inside)[0]["Href"] + "?action=listAll").xml, "Directories") == folders


def test_a_file_shows_its_size_and_time(lab: Lab) -> None:
    client = lab.site.client()
    answer = client.get(f"{mounted(lab, client)}/Volume$1:/Large%20file.bin")
    assert tag(answer.xml) == "FileSystemEntry"
    file = children(answer.xml, "FileEntry")[0]
    assert [tag(child) for child in file] == ["Links", "Path", "Name", "Size", "Owner", "ModifiedDateUTC"]
    assert [child.text for child in file[1:4]] == [
        "Volume$1:/Large file.bin",
        "Large file.bin",
        str(len(lab.files["Large file.bin"])),
    ]


def test_a_large_folder_comes_in_pages_of_a_hundred(lab: Lab) -> None:
    client = lab.site.client()
    folder = f"{mounted(lab, client)}/Volume$1:/many"
    page = client.get(f"{folder}?action=listFiles").xml
    seen = names(page, "Files")
    assert len(seen) == 100
    paging = children(page, "PagingInfo")[0]
    assert attributes(paging) == {"PageNum": "1", "PageSize": "100", "PagesCount": "3"}
    while forward := [link for link in links(paging) if link["Rel"] == "Next"]:
        page = client.follow(forward[0]["Href"]).xml
        paging = children(page, "PagingInfo")[0]
        seen += names(page, "Files")
    assert seen == sorted(path.removeprefix("many/") for path in lab.files if path.startswith("many/"))
    assert names(client.get(f"{folder}?action=listFiles&pageSize=7&page=2").xml, "Files") == seen[7:14]


@pytest.mark.parametrize("volume", ["Volume$0:", "Volume$1:"])
def test_files_are_downloaded_byte_for_byte(lab: Lab, volume: str) -> None:
    client = lab.site.client()
    path = mounted(lab, client)
    for name in ("Large file.bin", "Empty", "docs/grüße ☃.txt", "docs/deep/deeper/deepest/end.dat"):
        answer = client.get(f"{path}/{volume}/{quote(name)}?action=download")
        assert (answer.status, answer.body == lab.files[name]) == (200, True)
        assert answer.header("Content-Length") == str(len(lab.files[name]))
        assert answer.header("Content-Type") == "application/octet-stream"
        disposition = str(answer.header("Content-Disposition"))
        assert disposition.startswith("attachment;")
        assert quote(name.rpartition("/")[2], safe="") in disposition


def test_a_folder_is_downloaded_as_an_archive(lab: Lab) -> None:
    client = lab.site.client()
    answer = client.get(f"{mounted(lab, client)}/Volume$1:/docs?action=download")
    assert answer.header("Content-Type") == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        found = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
        assert {name: file.read() for name, file in found.items() if file is not None} == {
            name: data for name, data in lab.files.items() if name.startswith("docs/")
        }


def test_the_headers_of_a_download_come_without_reading_it(lab: Lab) -> None:
    client = lab.site.client()
    answer = client.request("HEAD", f"{mounted(lab, client)}/Volume$1:/Large%20file.bin?action=download")
    assert (answer.body, answer.header("Content-Length")) == (b"", str(len(lab.files["Large file.bin"])))


@pytest.mark.parametrize("body", [DOWNLOAD, b'{"ForDirectDownload":{}}'])
def test_a_restore_for_download_leads_to_the_bytes(lab: Lab, body: bytes) -> None:
    client = lab.site.client()
    task = task_of(client, f"{mounted(lab, client)}/Volume$1:/Large%20file.bin?action=restore", body)
    assert (children(task, "Operation")[0].text, outcome(task)[0]) == ("FileRestoreFromMountPoint", "true")
    link = links(task)[0]
    assert link["Rel"] == "Download"
    assert client.follow(link["Href"]).body == lab.files["Large file.bin"]


def test_a_restore_into_the_vm_says_that_it_is_not_done(lab: Lab) -> None:
    client = lab.site.client()
    body = (
        b'<FileRestoreSpec><ToOriginalLocation Overwrite="true"><GuestCredentials><UserName>u</UserName>'
        b"<Password>p</Password></GuestCredentials></ToOriginalLocation></FileRestoreSpec>"
    )
    answer = client.post(f"{mounted(lab, client)}/Volume$1:/readme.txt?action=restore", body)
    assert (answer.status, "ForDirectDownload" in answer.message) == (501, True)


def test_a_restore_of_what_is_not_there_fails_its_task(lab: Lab) -> None:
    client = lab.site.client()
    success, message = outcome(
        task_of(client, f"{mounted(lab, client)}/Volume$1:/nothing?action=restore", DOWNLOAD)
    )
    assert (success, "nothing" in message) == ("false", True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Volume$9:", 404),
        ("Volume$1:/nothing", 404),
        ("Volume$1:/docs/..", 404),
        ("Volume$1:/%2e%2e/%2e%2e/etc/passwd?action=download", 404),
        ("Volume$1:/readme.txt?action=listAll", 400),
        ("Volume$1:/many?action=listAll&pageSize=1000000", 400),
        ("Volume$1:/many?action=listAll&page=0&pageSize=1", 400),
        ("Volume$1:/readme.txt%00?action=download", 404),
    ],
)
def test_paths_that_lead_nowhere_are_errors(lab: Lab, path: str, status: int) -> None:
    client = lab.site.client()
    answer = client.get(f"{mounted(lab, client)}/{path}")
    assert answer.status == status, answer.text
    assert answer.message


def test_a_session_runs_from_mount_to_unmount(lab: Lab) -> None:
    client = lab.site.client()
    path = mounted(lab, client)
    session = client.get("/restoreSessions?format=Entity").xml[0]
    at = lab.clock.now()
    assert str(session.get("Name")) == f"FLR_[web]@{at:%Y-%m-%d %H:%M:%S}"
    told = {tag(child): child.text for child in session if tag(child) != "Links"}
    assert (told["JobType"], told["State"], told["Result"]) == ("FileLevelRestore", "Working", "None")
    assert (told["Progress"], "EndTimeUTC" in told) == ("0", False)
    lab.clock.advance(60)
    assert client.delete(path).status == 204
    session = client.get("/restoreSessions?format=Entity").xml[0]
    told = {tag(child): child.text for child in session if tag(child) != "Links"}
    assert (told["State"], told["Result"], told["Progress"]) == ("Stopped", "Success", "100")
    assert told["EndTimeUTC"] is not None
    assert client.get(path).status == 404
    assert client.delete(path).status == 404
    found = client.get('/query?type=RestoreSession&format=Entity&filter=Type=="FileLevelRestore"').xml
    assert len(found[0][0]) == 1


def test_a_mount_ends_with_its_logon_session(lab: Lab) -> None:
    client = lab.site.client()
    mounted(lab, client)
    assert lab.sessions()[0].state is SessionState.WORKING
    assert client.delete("/sessionMngr").status == 204
    assert (lab.sessions()[0].state, lab.sessions()[0].result) == (
        SessionState.STOPPED,
        SessionResult.SUCCESS,
    )


def test_a_mount_ends_when_its_logon_session_has_idled(lab: Lab) -> None:
    mounted(lab, lab.site.client())
    lab.clock.advance(10 * 60)
    mounts.reconcile(lab.site.engine)
    assert lab.sessions()[0].state is SessionState.WORKING
    lab.clock.advance(10 * 60)
    mounts.reconcile(lab.site.engine)
    assert lab.sessions()[0].state is SessionState.STOPPED


def test_a_cancelled_mount_ends_as_failed(lab: Lab) -> None:
    client = lab.site.client()
    path = mounted(lab, client)
    with lab.site.database.write() as connection:
        restore_sessions.request_cancel(connection, lab.sessions()[0].id)
    mounts.reconcile(lab.site.engine)
    session = lab.sessions()[0]
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.FAILED)
    assert session.reason_code == "cancelled"
    assert client.get(path).status == 404


def test_a_mount_that_ended_has_signed_evidence_of_what_was_taken(lab: Lab) -> None:
    client = lab.site.client()
    path = mounted(lab, client)
    assert client.get(f"{path}/Volume$1:/readme.txt?action=download").status == 200
    assert client.delete(path).status == 204
    document = evidence.document_of(lab.site.engine, lab.sessions()[0].id, Visibility.everything())
    pem = PublicKey(evidence.keys(lab.site.engine)[0].public_key).pem
    record = independent.read(document, pem)
    assert (record["session"]["kind"], record["result"]) == ("FileLevelRestore", "Success")
    assert (record["target"], record["disks"], record["merkle_root"]) == (None, [], None)
    assert any("readme.txt" in event["message"] for event in record["events"])


def test_mounts_of_others_are_not_there(lab: Lab) -> None:
    path = mounted(lab, lab.site.client())
    other = lab.site.client()
    assert other.get(path).status == 404
    assert other.get(f"{path}/Volume$1:/readme.txt?action=download").status == 404
    assert other.delete(path).status == 404
    assert len(other.get(lab.mounts).xml) == 0


def test_operators_of_files_see_only_the_vms_of_their_scope(lab: Lab) -> None:
    lab.site.add_account("files", [Role.FILE_RESTORE_OPERATOR])
    lab.site.add_account("stranger", [Role.FILE_RESTORE_OPERATOR], [])
    client = lab.site.client("files")
    assert client.get(f"{mounted(lab, client)}/Volume$1:/readme.txt?action=download").body == b"hello\n"
    assert lab.site.client("stranger").post(lab.mounts).status == 404
    assert lab.site.client("stranger").get(lab.mounts).status == 404


@pytest.mark.parametrize("role", [Role.PORTAL_USER, Role.VM_RESTORE_OPERATOR, Role.SQL_RESTORE_OPERATOR])
def test_other_roles_cannot_mount(lab: Lab, role: Role) -> None:
    lab.site.add_account("other", [role])
    client = lab.site.client("other")
    assert client.post(lab.mounts).status == 403
    assert client.get(lab.mounts).status == 403


def test_a_vm_without_a_file_system_fails_task_and_session(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    (tmp_path / "blank.raw").write_bytes(bytes(2 * guests.MIB))
    with site(database, tmp_path, clock) as made:
        point = guests.keep(made.engine, tmp_path, {"blank": [tmp_path / "blank.raw"]})["blank"]
        lab = Lab(made, clock, point, {})
        success, message = outcome(task_of(made.client(), lab.mounts))
        assert (success, "no file system" in message) == ("false", True)
        session = lab.sessions()[0]
        assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.FAILED)
        assert "no file system" in session.reason
        assert len(made.client().get(lab.mounts).xml) == 0
