"""How the interface behaves on the wire: logon, addresses, formats, errors, pages and tasks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from restorium.catalog import restore_sessions, tables
from restorium.catalog.database import Database
from restorium.flows import backup, restore
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import TargetExists, VmNotFound
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role
from tests.support.clock import START, ManualClock
from tests.support.em import (
    HEADER,
    JSON,
    PASSWORD,
    Answer,
    EmClient,
    Recorded,
    Site,
    attributes,
    basic,
    children,
    links,
    populate,
    record_restores,
    site,
    standing_site,
    tag,
)

_ADMINISTRATOR = basic("administrator", PASSWORD)
_MANY = 5_000
_NOBODY = "00000000-0000-4000-8000-000000000000"
_NOWHERE = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A face where it does not matter which database is behind it."""
    http = {"allowed_hosts": ["backup.example.org"], "trusted_proxies": ["192.0.2.10"]}
    with standing_site(request, "sqlite", http=http) as made:
        yield made


@pytest.fixture
def client(here: Site) -> EmClient:
    return here.client()


@pytest.fixture
def full(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record_restores(monkeypatch)


# The root, and logging on


@pytest.mark.parametrize("path", ["", "/", "//", "/?x=y"])
def test_root_is_for_anybody(here: Site, path: str) -> None:
    answer = here.anonymous().get(path)
    assert answer.status == 200
    assert (tag(answer.xml), links(answer.xml)) == (
        "EnterpriseManager",
        [
            {
                "Href": "https://127.0.0.1:9398/api/logonSessions",
                "Type": "LogonSessionList",
                "Rel": "Down",
            },
            {
                "Href": "https://127.0.0.1:9398/api/sessionMngr/?v=latest",
                "Type": "LogonSession",
                "Rel": "Create",
            },
        ],
    )
    [versions] = children(answer.xml, "SupportedVersions")
    assert [version.get("Name") for version in versions] == ["v1_5", "v1_6", "v1_7"]
    [own] = links(versions[2])
    assert own["Href"].endswith("/api/sessionMngr/?v=v1_7")


def test_root_in_json_says_which_versions_there_are(here: Site) -> None:
    told = here.anonymous().get("/", JSON).json
    assert [each["Name"] for each in told["SupportedVersions"]["SupportedVersions"]] == [
        "v1_5",
        "v1_6",
        "v1_7",
    ]
    assert (told["Href"], told["Type"]) == (None, None)


@pytest.mark.parametrize(
    "path",
    [
        "/sessionMngr",
        "/sessionMngr/",
        "/sessionMngr/?v=latest",
        "/sessionMngr?v=latest",
        "//sessionMngr",
        "//sessionMngr/",
        "/SESSIONMNGR/?V=LATEST",
        *(f"/sessionMngr?v=v1_{number}" for number in range(8)),
        "/sessionMngr/?v=v1",
    ],
)
def test_logon_at_every_path_that_clients_use(here: Site, path: str) -> None:
    answer = here.anonymous().post(path, headers={"Authorization": _ADMINISTRATOR})
    assert answer.status == 201
    assert tag(answer.xml) == "LogonSession"


@pytest.mark.parametrize("body", [b"", b'{"id":null}', b"<LoginSpec/>", b"garbage"])
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/xml",
        "text/xml; charset=utf-8",
        "application/x-www-form-urlencoded",
    ],
)
def test_logon_with_every_body_that_clients_send(here: Site, body: bytes, content_type: str | None) -> None:
    headers = {"Authorization": _ADMINISTRATOR, "x-api-version": "1.0-rev2"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    assert here.anonymous().post("/sessionMngr/?v=latest", body, headers).status == 201


def test_logon_answers_the_token_in_three_places(here: Site) -> None:
    answer = here.anonymous().post("/sessionMngr/?v=latest", headers={"Authorization": _ADMINISTRATOR})
    token = dict(answer.headers)["X-RestSvcSessionId"]
    cookie, *attributes = (dict(answer.headers)["Set-Cookie"]).split("; ")
    assert cookie == f"X-RestSvcSessionId={token}"
    assert {"Path=/api", "HttpOnly", "Secure"} <= set(attributes)
    session_id = children(answer.xml, "SessionId")[0].text or ""
    assert base64.b64decode(token).decode() == session_id
    assert children(answer.xml, "UserName")[0].text == "administrator"
    assert answer.xml.get("Href") == f"https://127.0.0.1:9398/api/logonSessions/{session_id}"


def test_links_of_the_logon_lead_everywhere(client: EmClient) -> None:
    found = client.post("/sessionMngr/", headers={"Authorization": _ADMINISTRATOR}).xml
    client.token = None
    client.log_on("administrator")
    assert [link["Rel"] for link in links(found)][:1] == ["Up"]
    assert links(found)[-1] == {"Href": found.get("Href"), "Rel": "Delete"}
    seen = {link["Type"] for link in links(found) if "Type" in link}
    assert {"QueryService", "TaskList", "RestoreSessionReferenceList", "RestoreSessionList"} <= seen
    for link in links(found)[:-1]:
        assert client.follow(link["Href"]).status == 200, link


def test_name_is_found_in_any_case_and_password_is_not(here: Site) -> None:
    def status(name: str, password: str) -> int:
        return here.anonymous().post("/sessionMngr/", headers={"Authorization": basic(name, password)}).status

    assert status("ADMINISTRATOR", PASSWORD) == 201
    assert status("administrator", PASSWORD.upper()) == 401
    assert status("nobody", PASSWORD) == 401


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !", "Basic YQ==", "Basic \xff\xff", "Bearer x", "Basic Og==", "Negotiate abc"],
)
def test_logon_without_good_credentials_is_refused(here: Site, authorization: str | None) -> None:
    answer = here.anonymous().request("POST", "/sessionMngr/?v=latest", {"Authorization": authorization})
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == "Basic Realm=RestSvc"
    assert answer.header(HEADER) is None
    assert answer.header("Set-Cookie") is None
    assert answer.message


def test_unknown_version_is_refused_by_name(here: Site) -> None:
    answer = here.anonymous().post("/sessionMngr/?v=v2_0", headers={"Authorization": _ADMINISTRATOR})
    assert answer.status == 400
    assert "v2_0" in answer.message


# Sessions


def test_cookie_alone_is_enough(here: Site) -> None:
    client = here.client()
    token, client.token = client.token, None
    assert client.get("/tasks", {"Cookie": f"{HEADER}={token}"}).status == 200
    assert client.get("/tasks", {"cookie": f"a=b; {HEADER}={token}; c=d"}).status == 200
    assert client.get("/tasks", {"Cookie": f'{{"a": 1}}; x y=z; {HEADER}="{token}"'}).status == 200
    assert client.get("/tasks").status == 401


def test_cookie_wins_over_header(here: Site) -> None:
    client = here.client()
    assert client.get("/tasks", {"Cookie": f"{HEADER}=bm90aGluZw=="}).status == 401
    good, client.token = client.token, "bm90aGluZw=="
    assert client.get("/tasks", {"Cookie": f"{HEADER}={good}"}).status == 200


@pytest.mark.parametrize(
    "token", ["", "x", "bm90aGluZw==", "\xff", base64.b64encode(b"\xff" * 36).decode(), "=" * 9]
)
def test_token_that_is_none_is_answered_401(here: Site, token: str) -> None:
    for headers in ({HEADER: token}, {"Cookie": f"{HEADER}={token}"}):
        answer = here.anonymous().get("/tasks", headers)
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Basic Realm=RestSvc")


def test_session_ends_when_idle_and_lives_while_used(here: Site) -> None:
    client, clock = here.client(), here.database.clock
    assert isinstance(clock, ManualClock)
    for _ in range(3):
        clock.advance(14 * 60)
        assert client.get("/tasks").status == 200
    clock.advance(16 * 60)
    assert client.get("/tasks").status == 401
    assert client.get("/").status == 200


@pytest.mark.parametrize("way", ["session", "manager"])
def test_logging_off_ends_the_session(here: Site, way: str) -> None:
    client, other = here.client(), here.client()
    own = client.get("/logonSessions", JSON).json["LogonSessions"]
    assert len(own) == 1
    path = f"/logonSessions/{own[0]['SessionId']}" if way == "session" else "/sessionMngr/?v=v1_7"
    answer = client.delete(path)
    assert (answer.status, answer.body, answer.header("Content-Length")) == (204, b"", None)
    assert client.get("/tasks").status == 401
    assert other.get("/tasks").status == 200


def test_sessions_of_others_are_neither_seen_nor_ended(here: Site) -> None:
    mine, other = here.client(), here.client()
    [theirs] = other.get("/logonSessions", JSON).json["LogonSessions"]
    assert theirs["SessionId"] not in mine.get("/logonSessions", JSON).text
    assert mine.get(f"/logonSessions/{theirs['SessionId']}").status == 404
    assert mine.delete(f"/logonSessions/{theirs['SessionId']}").status == 404
    assert other.get("/tasks").status == 200


# Addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9398",
        "192.0.2.77:443",
        "[::1]:9398",
        "[2001:DB8::7]",
        "localhost:9398",
        "LocalHost",
        "backup.example.org",
        "Backup.Example.ORG:19398",
        "backup.example.org.:9398",
    ],
)
def test_links_begin_as_the_client_wrote_the_address(here: Site, host: str) -> None:
    client = here.client(host=host)
    for path in ("/", "/restoreSessions", "/query?type=Job&format=Entity&pageSize=1", "/querySvc"):
        answer = client.get(path, JSON)
        hrefs = [str(value) for name, value in _members(answer.json) if name == "Href" and value is not None]
        assert hrefs and all(href.startswith(f"https://{host}/api/") for href in hrefs)
        assert answer.text.count(f"https://{host}/api/") == answer.text.count("://")


def _members(found: object) -> Iterator[tuple[str, object]]:
    if isinstance(found, dict):
        for name, value in found.items():
            yield name, value
            yield from _members(value)
    elif isinstance(found, list):
        for each in found:
            yield from _members(each)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.org",
        "127.0.0.1.evil.example.org",
        "localhost@evil",
        "localhost:port",
        "localhost:9398:1",
        "localhost/x",
        "localhost\\",
        'localhost"',
        "localhost<x>",
        "localhost\u00e9",
        "::1",
        "[::1",
        "[evil]",
        " ",
    ],
)
def test_foreign_host_is_refused_without_a_link_to_it(here: Site, host: str) -> None:
    for path in ("/", "/restoreSessions"):
        answer = here.client().get(path, {"Host": host})
        assert answer.status == 400
        assert "://" not in answer.message
        assert "allowed_hosts" in answer.message


def test_proxy_is_believed_only_from_its_address(here: Site) -> None:
    said = {"X-Forwarded-Host": "backup.example.org", "X-Forwarded-Proto": "http"}

    def first(address: str, headers: Mapping[str, str]) -> Answer:
        return here.anonymous(address=address).get("/", headers)

    assert links(first("192.0.2.10", said).xml)[0]["Href"].startswith("http://backup.example.org/api/")
    assert links(first("192.0.2.11", said).xml)[0]["Href"].startswith("https://127.0.0.1:9398/api/")
    several = {"X-Forwarded-Host": "backup.example.org:8, inner", "X-Forwarded-Proto": "https, http"}
    assert links(first("192.0.2.10", several).xml)[0]["Href"].startswith("https://backup.example.org:8/api/")
    assert first("192.0.2.10", {"X-Forwarded-Host": "evil.example.org"}).status == 400
    assert first("192.0.2.10", {"X-Forwarded-Proto": "javascript"}).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/restoresessions",
        "/RESTORESESSIONS/",
        "//restoreSessions//",
        "/RestoreSessions?",
        "/restoreSessions?unknown=1&other",
        "/restore%53essions",
    ],
)
def test_paths_are_found_however_they_are_written(client: EmClient, path: str) -> None:
    assert client.get(path).body == client.get("/restoreSessions").body


def test_id_is_found_in_any_case(client: EmClient, here: Site) -> None:
    path = f"/restoreSessions/{here.ids['RestoreSession']}"
    assert client.get(path.upper()).body == client.get(path).body


# Formats


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "xml"),
        ("", "xml"),
        ("*/*", "xml"),
        ("application/*", "xml"),
        ("text/xml", "xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "xml"),
        ("application/json", "json"),
        ("Application/JSON; charset=utf-8", "json"),
        ("application/json;odata=verbose", "json"),
        ("application/json, application/xml;q=0.5", "json"),
        ("application/xml;q=0.5, application/json", "json"),
        ("application/json;q=0.4, application/xml;q=0.5", "xml"),
        ("application/json, */*", "json"),
        ("application/xml;q=0, */*", "json"),
        ("application/json;q=0, */*;q=0.1", "xml"),
        ("text/html", None),
        ("image/*", None),
        ("application/json;q=0", None),
        (";;,,q=,/", None),
    ],
)
def test_accept_decides_the_format(client: EmClient, accept: str | None, expected: str | None) -> None:
    answer = client.request("GET", "/restoreSessions", {"Accept": accept})
    if expected is None:
        assert (answer.status, tag(answer.xml)) == (406, "Error")
    else:
        known = {"xml": "application/xml; charset=utf-8", "json": "application/json"}
        assert (answer.status, answer.header("Content-Type")) == (200, known[expected])


def test_utf_8_is_written_without_a_mark(client: EmClient) -> None:
    assert client.get("/jobs?format=Entity").body.startswith(b"<?xml")
    assert client.get("/jobs?format=Entity", JSON).body.startswith(b"{")


def test_answers_say_their_length(client: EmClient, here: Site) -> None:
    for path in ("/", "/restoreSessions", "/restoreSessions?format=Entity", "/nothing", "/query?type=Job"):
        for headers in ({}, JSON):
            answer = client.get(path, headers)
            assert answer.header("Content-Length") == str(len(answer.body)), path
    missing = here.anonymous().get("/tasks")
    assert missing.header("Content-Length") == str(len(missing.body))


def test_head_is_get_without_the_body(client: EmClient) -> None:
    for path in ("/", "/restoreSessions", "/nothing", "/query?type=Job&format=Entity"):
        shown, head = client.get(path), client.request("HEAD", path)
        assert head.body == b""
        assert (head.status, head.headers) == (shown.status, shown.headers)


@pytest.mark.parametrize("form", ["Entity", "entity", "ENTITIES", "Entities"])
def test_format_is_read_in_any_case(client: EmClient, form: str) -> None:
    assert tag(client.get(f"/jobs?FORMAT={form}").xml) == "Jobs"


def test_format_that_is_none_is_refused(client: EmClient) -> None:
    for path in ("/jobs?format=csv", "/query?type=Job&format=csv", "/jobs/x?format=csv"):
        assert client.get(path).status == 400


# Errors


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/restoreSessions/x/y", 404),
        ("GET", f"/restoreSessions/{_NOWHERE}", 404),
        ("GET", f"/vmRestorePoints/{_NOWHERE}/mounts", 404),
        ("POST", f"/vmRestorePoints/{_NOWHERE}?action=restore", 404),
        ("GET", "/restoreSessions/not-a-guid", 400),
        ("GET", "/restoreSessions/{6f9619ff-8b86-d011-b42d-00c04fc964ff}", 400),
        ("GET", "/restoreSessions?pageSize=0", 400),
        ("GET", "/restoreSessions?pageSize=-1", 400),
        ("GET", "/restoreSessions?pageSize=ten", 400),
        ("GET", "/restoreSessions?pageSize=1&page=0", 400),
        ("GET", "/restoreSessions?pageSize=2147483648", 400),
        ("GET", "/restoreSessions?filter=%FF", 400),
        ("GET", "/restoreSessions?" + "&".join("x" * 101), 400),
        ("GET", "/restoreSessions?filter=(", 400),
        ("POST", f"/jobs/{_NOWHERE}", 400),
        ("POST", f"/jobs/{_NOWHERE}?action=fly", 400),
        ("DELETE", "/restoreSessions", 405),
        ("PATCH", "/", 405),
        ("GET", "/tasks/task-7", 500),
        ("DELETE", "/tasks/task-7", 500),
    ],
)
def test_errors_are_documents_in_both_formats(client: EmClient, method: str, path: str, status: int) -> None:
    shown, told = client.request(method, path), client.request(method, path, JSON)
    assert (shown.status, told.status) == (status, status)
    assert tag(shown.xml) == "Error"
    assert set(shown.xml.attrib) == {"Message", "StatusCode"} and not len(shown.xml)
    assert told.json == {
        "Message": shown.xml.get("Message"),
        "StatusCode": int(shown.xml.get("StatusCode") or 0),
        "FirstChanceExceptionMessage": None,
        "StackTrace": None,
        "Status": None,
    }
    assert told.json["StatusCode"] == status
    assert len(told.json["Message"]) > 15


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/restoreSessions", {"GET", "HEAD"}),
        ("PUT", "/tasks/task-1", {"GET", "HEAD", "DELETE"}),
        ("GET", "/sessionMngr", {"POST", "DELETE"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DELETE", "/backups/6f9619ff-8b86-d011-b42d-00c04fc964ff", {"GET", "HEAD"}),
    ],
)
def test_refused_method_names_the_allowed_ones(
    client: EmClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.request(method, path)
    assert answer.status == 405
    assert set((answer.header("Allow") or "").split(", ")) == allowed


def test_without_a_session_nothing_is_told_but_the_root(here: Site) -> None:
    anonymous = here.anonymous()
    for method, path in (
        ("GET", "/nothing"),
        ("GET", "/restoreSessions"),
        ("PUT", "/"),
        ("DELETE", "/sessionMngr"),
        ("GET", f"/restoreSessions/{here.ids['RestoreSession']}"),
        ("POST", f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore"),
    ):
        answer = anonymous.request(method, path)
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Basic Realm=RestSvc"), path


def test_what_is_not_offered_says_so(client: EmClient, here: Site) -> None:
    for method, path in (
        ("POST", f"/jobs/{here.ids['Job']}?action=sync"),
        ("POST", "/backupServers?action=create"),
        ("DELETE", f"/backupServers/{here.ids['BackupServer']}"),
    ):
        answer = client.request(method, path)
        assert answer.status == 501
        assert f"{method} {path.partition('?')[0]}" in answer.message


# Tasks


def test_restore_is_a_task_that_leads_to_its_session(
    client: EmClient, here: Site, recorded: Recorded
) -> None:
    point = here.ids["VmRestorePoint"]
    for path in ("?action=restore", "?format=Entity&action=restore", "/?ACTION=Restore&format=Entity"):
        answer = client.post(f"/vmRestorePoints/{point}{path}")
        assert (answer.status, tag(answer.xml), answer.xml.get("Type")) == (202, "Task", "Task")
        assert answer.header("Location") == answer.xml.get("Href")
        assert [child.text for child in answer.xml][1:] == [
            (answer.xml.get("Href") or "").rpartition("/")[2],
            "Running",
            "StartVMRestore",
        ]
        done = client.follow(answer.xml.get("Href") or "").xml
        assert [tag(child) for child in done] == ["Links", "TaskId", "State", "Operation", "Result"]
        assert children(done, "State")[0].text == "Finished"
        [result] = children(done, "Result")
        assert (result.get("Success"), len(result)) == ("true", 1)
        related, *others = links(done)
        assert (related["Rel"], related["Type"]) == ("Related", "RestoreSession")
        assert related["Href"].endswith("?format=Entity")
        shown = client.follow(related["Href"]).xml
        assert (tag(shown), shown.get("Name")) == ("RestoreSession", related.get("Name"))
        assert [link["Rel"] for link in others] == ["Delete"]
    assert [spec.vm_restore_point_id for spec in recorded.specs] == [point] * 3
    assert (recorded.callers[0].account, recorded.callers[0].address) == ("administrator", "127.0.0.1")


def test_restore_that_cannot_start_is_a_task_that_says_why(
    client: EmClient, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (VmNotFound("the VM was not found"), TargetExists("there is one already")):

        def start(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(restore, "start", start)
        answer = client.post(f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore")
        assert answer.status == 202
        done = client.follow(answer.xml.get("Href") or "").xml
        [result] = children(done, "Result")
        assert result.get("Success") == "false"
        assert str(error) in (children(result, "Message")[0].text or "")
        assert [link["Rel"] for link in links(done)] == ["Delete"]


def test_job_is_started_and_its_run_stopped_by_tasks(
    client: EmClient, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, run = here.ids["Job"], here.ids["BackupJobSession"]
    asked: list[tuple[str, UUID]] = []

    def start(_: Engine, job_id: UUID, caller: Caller) -> UUID:
        asked.append((caller.account, job_id))
        return run

    monkeypatch.setattr(backup, "start", start)
    monkeypatch.setattr(backup, "cancel", lambda _, session_id: asked.append(("", session_id)))
    for path, operation in (
        (f"/jobs/{job}?action=start", "StartJob"),
        (f"/backupSessions/{run}?action=stop", "StopJobSession"),
    ):
        answer = client.post(path)
        assert (answer.status, children(answer.xml, "Operation")[0].text) == (202, operation)
        [related, _] = links(client.follow(answer.xml.get("Href") or "").xml)
        assert (related["Rel"], related["Type"]) == ("Related", "BackupJobSession")
        assert client.follow(related["Href"]).xml.get("Name") == related["Name"]
    assert asked == [("administrator", job), ("", run)]


def test_tasks_belong_to_one_session_and_end_with_it(
    client: EmClient, here: Site, recorded: Recorded
) -> None:
    other = here.client()
    for mine in (client, other):
        for number in (1, 2):
            shown = mine.post(f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore").xml
            assert children(shown, "TaskId")[0].text == f"task-{number}"
    assert client.delete("/tasks/task-1").status == 204
    assert [task["TaskId"] for task in client.get("/tasks", JSON).json["Tasks"]] == ["task-2"]
    assert len(other.get("/tasks", JSON).json["Tasks"]) == 2
    assert client.get("/tasks/task-1").message == (
        "There is no backup task with id [task-1] in current rest session"
    )
    assert client.get("/tasks/2").status == client.get("/tasks/TASK-2").status == 200
    assert client.delete("/sessionMngr").status == 204
    assert client.log_on("administrator").get("/tasks", JSON).json["Tasks"] == []
    assert client.get("/tasks/task-2").status == 500


def test_tasks_can_be_queried(client: EmClient, here: Site, recorded: Recorded) -> None:
    for _ in range(3):
        client.post(f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore")
    found = client.get("/query?type=Task&filter=State==Finished;TaskId!=task-2&sortDesc=TaskId", JSON).json
    assert [task["TaskId"] for task in found["Resources"]["Tasks"]["Tasks"]] == ["task-3", "task-1"]
    paged = client.get("/query?type=task&pageSize=2").xml
    assert [tag(part) for part in paged] == ["Resources", "PagingInfo"]
    assert [tag(each) for each in paged[0][0]] == ["Task", "Task"]


# Lists and pages


def test_filters_as_clients_send_them(full: Site) -> None:
    client = full.client()
    with full.database.write() as connection:
        connection.execute(
            sa.update(tables.restore_sessions)
            .where(tables.restore_sessions.c.id == full.ids["RestoreSession"])
            .values(created_at=START, vm_name='a "quoted" one')
        )
    expected = f"urn:veeam:RestoreSession:{full.ids['RestoreSession']}"
    day = "2031-02-03"
    for text in (
        f"CreationTime<=%22{day}T04:05:06%22",
        f"CreationTime%3C%3D%22{day}T04:05:06Z%22",
        f"creationtime%3c={day}T04:05:06.0000000Z",
        f"CreationTime=={day}T06:05:06%2B02:00",
        f"State==Stopped;CreationTime>={day};CreationTime<{day}T04:05:07",
        f"UID==%22{expected}%22",
        f"UID=={full.ids['RestoreSession']}",
        "VmDisplayName==%22a+%22%22QUOTED%22%22%20one%22",
        f"(State==stopped,State==Working);(EndTime>{day};Result==Success);CreationTime=={day}T04:05:06",
        f"Result==Failed,State==Stopped;CreationTime<{day}T04:05:07",
    ):
        found = client.get(f"/query?type=restoresession&format=entities&filter={text}", JSON)
        shown = found.json["Entities"]["RestoreSessions"]["RestoreSessions"]
        assert [each["UID"] for each in shown] == [expected], text
        below = client.get(f"/restoreSessions?filter={text}", JSON).json["Refs"]
        assert [each["UID"] for each in below] == [expected]
    refs = client.get(
        f"/query?type=VmRestorePoint&filter=HierarchyObjRef==%22urn:vmware:Vm:{full.vms[0].host_id}.vm-1%22"
    )
    assert [each.get("UID") for each in children(refs.xml, "Refs")[0]] == [
        each["UID"]
        for each in client.get("/vmRestorePoints", JSON).json["Refs"]
        if each["Name"].startswith("east 1")
    ]


def test_filter_that_cannot_be_read_says_where(full: Site) -> None:
    answer = full.client().get("/restoreSessions?filter=State==Stopped;;Name==x")
    assert answer.status == 400
    assert "character 16" in answer.message


def test_pages_can_be_followed_to_the_end_and_back(full: Site) -> None:
    client = full.client()
    _add_sessions(full, 23)
    for start in (
        "/query?type=RestoreSession&format=Entities&filter=Name!=%22a;%26%2B%20b%22&sortDesc=Name&pageSize=10",
        "/restoreSessions?filter=Name!=%22a;%26%2B%20b%22&pageSize=10&sortAsc=CreationTime,Name",
        "/restoreSessions?format=Entity&pageSize=5",
    ):
        whole = _uids(client.get(start.replace("pageSize=", "x=")))
        assert len(whole) == 27
        size = int(start.partition("pageSize=")[2].partition("&")[0])
        seen, answer, number = [], client.get(start), 1
        count = -(-27 // size)
        while True:
            seen.append(_uids(answer))
            [paging] = children(answer.xml, "PagingInfo")
            assert attributes(paging) == {
                "PageNum": str(number),
                "PageSize": str(size),
                "PagesCount": str(count),
            }
            offered = {link["Rel"]: link["Href"] for link in links(paging)}
            expected = ["First", *["Previous"] * (number > 1), *["Next"] * (number < count), "Last"]
            assert list(offered) == expected
            if "Next" not in offered:
                break
            answer, number = client.follow(offered["Next"]), number + 1
        assert list(chain.from_iterable(seen)) == whole
        assert _uids(client.follow(offered["First"])) == seen[0]
        assert _uids(client.follow(offered["Last"])) == seen[-1]
        assert _uids(client.follow(offered["Previous"])) == seen[-2]


def test_page_behind_the_end_is_empty_and_leads_back(full: Site) -> None:
    found = full.client().get("/restoreSessions?pageSize=3&page=9").xml
    [paging] = children(found, "PagingInfo")
    assert not children(found, "Ref")
    assert (paging.get("PageNum"), paging.get("PagesCount")) == ("9", "2")
    assert [link["Rel"] for link in links(paging)] == ["First", "Previous", "Last"]
    assert links(paging)[1]["Href"].endswith("page=2")


def test_paging_is_told_only_when_asked_for(full: Site) -> None:
    client = full.client()
    assert client.get("/query?type=RestoreSession", JSON).json["PagingInfo"] is None
    assert not children(client.get("/query?type=RestoreSession").xml, "PagingInfo")
    assert list(client.get("/restoreSessions", JSON).json) == ["Refs"]
    assert list(client.get("/restoreSessions?pageSize=1", JSON).json) == ["Refs", "PagingInfo"]


def test_empty_lists_are_empty_elements(full: Site) -> None:
    client = full.client()
    answer = client.get("/restoreSessions?format=Entity&filter=Name==nothing")
    assert (tag(answer.xml), len(answer.xml)) == ("RestoreSessions", 0)
    assert client.get("/restoreSessions?filter=Name==nothing", JSON).json == {"Refs": []}
    [paging] = children(client.get("/query?type=Job&pageSize=5&filter=Name==nothing").xml, "PagingInfo")
    assert (paging.get("PageNum"), paging.get("PagesCount")) == ("1", "1")


def _uids(answer: Answer) -> list[str]:
    return [str(each.get("UID")) for each in answer.xml.iter() if each.get("UID") is not None]


def _add_sessions(full: Site, count: int) -> None:
    with full.database.write() as connection:
        row = dict(connection.execute(sa.select(tables.restore_sessions).limit(1)).mappings().one())
        rows = [
            {**row, "id": uuid4(), "name": f"same {number % 3}", "created_at": START + timedelta(number % 4)}
            for number in range(count)
        ]
        connection.execute(sa.insert(tables.restore_sessions), rows)


@pytest.mark.slow
def test_list_of_many_is_the_same_whole_and_in_pages(full: Site) -> None:
    client = full.client()
    with full.database.write() as connection:
        row = dict(connection.execute(sa.select(tables.vm_restore_points).limit(1)).mappings().one())
        rows = [{**row, "id": uuid4(), "vm_name": f"vm {number}"} for number in range(_MANY - 4)]
        connection.execute(sa.insert(tables.vm_restore_points), rows)
    for headers in ({}, JSON):
        whole = client.get("/vmRestorePoints?format=Entity", headers)
        assert whole.header("Content-Length") is None
        assert len(whole.parts) > 10
        assert max(map(len, whole.parts)) < 600_000
        head = client.request("HEAD", "/vmRestorePoints?format=Entity", headers)
        assert (head.status, head.body, head.header("Content-Type")) == (
            200,
            b"",
            whole.header("Content-Type"),
        )
        pages = [
            client.get(f"/vmRestorePoints?format=Entity&pageSize=2000&page={number}", headers)
            for number in (1, 2, 3)
        ]
        if headers:
            together = [each for page in pages for each in page.json["VmRestorePoints"]]
            assert len(together) == _MANY
            assert json.loads(whole.body)["VmRestorePoints"] == together
        else:
            assert len(_uids(whole)) == _MANY
            assert _uids(whole) == [each for page in pages for each in _uids(page)]
    for _ in range(20):  # more than there are connections to the database: none may be kept
        client.request("HEAD", "/vmRestorePoints?format=Entity")
    assert client.get("/tasks").status == 200


def test_restore_of_another_role_is_not_offered(here: Site) -> None:
    here.add_account("user", [Role.PORTAL_USER])
    user = here.client("user")
    with here.database.read() as connection:
        before = len(restore_sessions.unfinished(connection))
    answer = user.post(f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore")
    assert (answer.status, "user may not POST" in answer.message) == (403, True)
    with here.database.read() as connection:
        assert len(restore_sessions.unfinished(connection)) == before
