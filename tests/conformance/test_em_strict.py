"""What deserializers that refuse unknown members read: exactly the documented documents, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from lxml import etree

from restorium.catalog import restore_sessions
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.em import (
    FACTS,
    JSON,
    EmClient,
    Recorded,
    Site,
    children,
    record_restores,
    shapes,
    standing_site,
    tag,
)

_ENTITY = {"Href", "Type", "Name", "UID"}
_SCHEMA: dict[str, tuple[set[str], list[str]]] = {
    "RestoreSession": (
        {*_ENTITY, "VmDisplayName"},
        [
            "Links",
            "JobType",
            "CreationTimeUTC",
            "EndTimeUTC",
            "State",
            "Result",
            "Progress",
            "RestoredObjRef",
        ],
    ),
    "EntityReferences": (set(), ["Ref"]),
    "Ref": ({*_ENTITY}, ["Links"]),
    "EntityRef": ({*_ENTITY}, ["Links"]),
    "Links": (set(), ["Link"]),
    "Link": ({"Href", "Name", "Type", "Rel"}, []),
    "Tasks": (set(), ["Task"]),
    "Task": ({"Href", "Type"}, ["Links", "TaskId", "State", "Operation", "Result"]),
    "Result": ({"Success"}, ["Message"]),
    "Error": ({"Message", "StatusCode", "Status"}, ["FirstChanceExceptionMessage", "StackTrace"]),
    "QueryResult": (set(), ["Refs", "Entities", "Resources", "Links", "PagingInfo"]),
    "Refs": (set(), ["Ref"]),
    "Entities": (set(), list(FACTS["slots"])),
    "RestoreSessions": (set(), ["RestoreSession"]),
    "PagingInfo": ({"PageNum", "PageSize", "PagesCount"}, ["Links"]),
}
_LEAVES = {*_SCHEMA["RestoreSession"][1], *_SCHEMA["Task"][1], "Message"} - {"Links"}


def read_strictly(document: etree._Element) -> None:
    """Read as such a client does: any member that it does not know, or not in this place, is an error."""
    for name, attributes, below in shapes(document):
        if name in _LEAVES and not (name == "Result" and attributes):
            assert not attributes and not below, name
            continue
        known_attributes, known = _SCHEMA[name]
        assert attributes <= known_attributes, (name, attributes)
        places = [known.index(child) for child in below]
        repeated = len(known) == 1
        assert places == sorted(places) and (repeated or len(set(places)) == len(places)), (name, below)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, request.param) as made:
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record_restores(monkeypatch)


def test_schema_is_that_of_the_facts() -> None:
    of_type = {
        "Link": "LinkType",
        "Ref": "EntityReferenceType",
        "EntityReferences": "EntityReferenceListType",
        "Task": "TaskType",
        "Tasks": "TaskListType",
        "Error": "ErrorType",
        "PagingInfo": "PagingInfoType",
        "QueryResult": "QueryResultType",
    }
    for name, kind in of_type.items():
        attributes, elements = _SCHEMA[name]
        assert attributes == set(FACTS["shapes"][kind]["attributes"]), name
        assert elements == FACTS["shapes"][kind]["elements"], name


def test_strict_reader_refuses_what_is_not_documented() -> None:
    for text in (
        '<Link xmlns="http://www.veeam.com/ent/v1.0" Href="" Rel="" Kind=""/>',
        '<Task xmlns="http://www.veeam.com/ent/v1.0"><State/><TaskId/></Task>',
    ):
        with pytest.raises((AssertionError, ValueError)):
            read_strictly(etree.fromstring(text))


@pytest.mark.parametrize(
    "path",
    [
        "/restoreSessions",
        "/restoreSessions?format=Entity",
        "/restoreSessions?format=Entity&pageSize=1",
        "/restoreSessions/{}",
        "/restoreSessions/{}?format=Entity",
        "/query?type=RestoreSession",
        "/query?type=RestoreSession&format=Entities&pageSize=1",
        "/tasks",
        "/tasks/task-1",
        "/tasks/task-2",
        "/vmRestorePoints",
        "/jobs",
        "/nothing",
    ],
)
def test_documents_hold_nothing_that_a_strict_reader_refuses(
    full: Site, client: EmClient, recorded: Recorded, path: str
) -> None:
    client.post(f"/vmRestorePoints/{full.ids['VmRestorePoint']}?action=restore")
    found = client.get(path.format(full.ids["RestoreSession"])).xml
    if path.endswith("pageSize=1") and path.startswith("/restore"):
        found.remove(
            children(found, "PagingInfo")[0]
        )  # documented for results of queries, given when asked for
    read_strictly(found)


def test_running_restore_has_no_end(full: Site, client: EmClient, recorded: Recorded) -> None:
    client.post(f"/vmRestorePoints/{full.ids['VmRestorePoint']}?action=restore")
    href = client.get("/tasks/task-1", JSON).json["Links"][0]["Href"]
    for state in (SessionState.STARTING, SessionState.WORKING):
        if state is SessionState.WORKING:
            _advance(full, href, state)
        shown, told = client.follow(href).xml, client.follow(href, JSON).json
        assert [tag(child) for child in shown] == [
            "Links",
            "JobType",
            "CreationTimeUTC",
            "State",
            "Result",
            "Progress",
        ]
        assert children(shown, "Result")[0].text == told["Result"] == "None"
        assert children(shown, "State")[0].text == told["State"] == state
        assert "EndTimeUTC" not in told
        assert not {"JobUid", "JobName", "FailureMessage"} & set(told)


@pytest.mark.parametrize("result", [SessionResult.SUCCESS, SessionResult.WARNING, SessionResult.FAILED])
def test_stopped_restore_has_an_end_and_a_result(
    full: Site, client: EmClient, recorded: Recorded, result: SessionResult
) -> None:
    client.post(f"/vmRestorePoints/{full.ids['VmRestorePoint']}?action=restore")
    href = client.get("/tasks/task-1", JSON).json["Links"][0]["Href"]
    _advance(full, href, SessionState.STOPPED, result, reason="not for this interface")
    shown, told = client.follow(href).xml, client.follow(href, JSON).json
    assert (
        children(shown, "EndTimeUTC")[0].text
        == told["EndTimeUTC"]
        == _now(full.database.clock.now().isoformat())
    )
    assert children(shown, "Result")[0].text == told["Result"] == result
    assert told["Progress"] == (0 if result is SessionResult.FAILED else 100)
    assert not children(shown, "RestoredObjRef")
    assert "not for this interface" not in client.follow(href).text + client.follow(href, JSON).text
    read_strictly(shown)


def test_restored_vm_is_named_once_it_is_known(full: Site, client: EmClient) -> None:
    path = f"/restoreSessions/{full.ids['RestoreSession']}?format=Entity"
    expected = f"urn:VMware:Vm:{full.ids['HierarchyRoot']}.vm-1 (restored)"
    assert children(client.get(path).xml, "RestoredObjRef")[0].text == expected
    assert client.get(path, JSON).json["RestoredObjRef"] == expected


def test_first_link_of_a_session_is_its_backup_server(full: Site, client: EmClient) -> None:
    for path in ("restoreSessions", "backupSessions", "backupTaskSessions"):
        for form in ("", "?format=Entity"):
            [shown] = client.get(f"/{path}{form}", JSON).json.values()
            for each in shown:
                first = each["Links"][0]
                assert (first["Rel"], first["Type"]) == ("Up", "BackupServerReference")
                assert first["Name"]


def _now(text: str) -> str:
    """An instant of Python's as the interface writes it."""
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    return f"{whole}.{fraction.rstrip('0')}Z" if fraction else f"{whole}Z"


def _advance(
    full: Site,
    href: str,
    state: SessionState,
    result: SessionResult = SessionResult.NONE,
    reason: str | None = None,
) -> None:
    session_id = UUID(href.removesuffix("?format=Entity")[-36:])
    with full.database.write() as connection:
        restore_sessions.advance(connection, session_id, state, result=result, reason=reason)
