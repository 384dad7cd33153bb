"""The backup server's own parts: credentials, passwords, its description. What is secret is told to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import tables
from restorium.catalog.database import Database
from restorium.vocabulary.roles import Role
from tests.support.clock import ManualClock
from tests.support.em import JSON, NAMESPACE, EmClient, Site, children, links, populate, site, tag

SECRET = " s3cret & <more> "
_UNKNOWN = UUID(int=7)


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def client(here: Site) -> EmClient:
    return here.client()


@pytest.fixture
def server(here: Site) -> str:
    return f"/backupServers/{here.ids['BackupServer']}"


def _xml(name: str, inner: str) -> bytes:
    return f'<{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()


def _sealed(here: Site, table: sa.Table) -> bytes:
    with here.database.read() as connection:
        found: bytes = connection.execute(sa.select(table.c.secret)).scalar_one()
        return found


def test_credentials_are_kept_changed_and_removed(client: EmClient, here: Site, server: str) -> None:
    body = json.dumps({"username": "lab\\jo", "description": "of the lab", "password": SECRET}).encode()
    made = client.post(f"{server}/credentials?action=create", body, {"Content-Type": "application/json"})
    assert made.status == 201, made.text
    path = (made.header("Location") or "").removeprefix(client.base)
    shown = client.get(path).xml
    assert shown.attrib == {"Href": client.base + path, "Type": "CredentialsInfo"}
    assert [tag(each) for each in shown] == ["Links", "Id", "Username", "Description"]
    assert [each.text for each in shown[1:]] == [path[-36:], "lab\\jo", "of the lab"]
    assert [(link["Rel"], link["Href"]) for link in links(shown)] == [
        ("Up", client.base + server),
        ("Edit", client.base + path),
        ("Delete", client.base + path),
    ]
    told = client.get(path, JSON).json
    assert (told["Password"], told["Id"]) == (None, path[-36:])
    sealed = _sealed(here, tables.credentials)
    assert here.engine.secrets.open(UUID(path[-36:]), sealed) == SECRET.encode()
    changed = _xml("CredentialsInfo", "<Links/><Id>x</Id><Description>of all</Description>")
    assert client.request("PUT", path, {}, changed).status == 204
    assert [each.text for each in client.get(path).xml[1:]] == [path[-36:], "lab\\jo", "of all"]
    assert _sealed(here, tables.credentials) == sealed
    assert client.request("PUT", path, {}, _xml("CredentialsInfo", "<Password>2</Password>")).status == 204
    assert here.engine.secrets.open(UUID(path[-36:]), _sealed(here, tables.credentials)) == b"2"
    listed = client.get(f"{server}/credentials").xml
    assert (tag(listed), [tag(each) for each in listed]) == ("CredentialsInfoList", ["CredentialsInfo"])
    for condition in (f"CredentialsId=={path[-36:]}", 'Username=="LAB\\JO"'):
        found = client.get(f"/query?type=Credentials&filter={condition}", JSON).json["Resources"]
        assert len(found["CredentialsInfoList"]["CredentialsInfoList"]) == 1
    assert client.delete(path).status == 204
    assert client.get(path).status == client.delete(path).status == 404
    assert client.request("PUT", path, {}, changed).status == 404


def test_passwords_are_kept_renamed_and_removed(
    client: EmClient, here: Site, server: str, clock: ManualClock
) -> None:
    spec = _xml("PasswordKeyInfoSpec", "<Hint>usual</Hint><Password> s3cret &amp; &lt;more&gt; </Password>")
    made = client.post(f"{server}/passwords?action=create", spec)
    assert made.status == 201, made.text
    path = (made.header("Location") or "").removeprefix(client.base)
    shown = client.get(path).xml
    assert shown.attrib == {"Href": client.base + path, "Type": "PasswordKeyInfo"}
    assert [tag(each) for each in shown] == ["Links", "Id", "Hint", "LastModificationDate"]
    assert here.engine.secrets.open(UUID(path[-36:]), _sealed(here, tables.password_keys)) == SECRET.encode()
    before = children(shown, "LastModificationDate")[0].text
    clock.advance(90)
    renamed = _xml("PasswordKeyInfoSpec", "<Hint>other</Hint>")
    assert client.request("PUT", path, {}, renamed).status == 204
    after = client.get(path).xml
    assert children(after, "Hint")[0].text == "other"
    assert (children(after, "LastModificationDate")[0].text or "") > (before or "")
    assert client.request("PUT", path, {}, spec).status == 501
    assert tag(client.get(f"{server}/passwords").xml[0]) == "PasswordKeyInfo"
    found = client.get("/query?type=Passwords&filter=Hint==other", JSON).json["Resources"]
    assert found["PasswordKeyInfoList"]["PasswordKeyInfoList"][0]["Id"] == path[-36:]
    assert client.delete(path).status == 204
    assert client.get(path).status == 404


def test_secrets_are_in_no_answer_and_no_log(
    client: EmClient, server: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = []
    for path, name, inner in (
        ("credentials", "CredentialsInfoSpec", "<Username>jo</Username><Password>hush</Password>"),
        ("passwords", "PasswordKeyInfoSpec", "<Password>hush</Password>"),
        # in the wrong order, with what is not known, without the user's name, and too long
        ("credentials", "CredentialsInfoSpec", "<Password>hush</Password><Username>jo</Username>"),
        ("passwords", "PasswordKeyInfoSpec", "<Password>hush</Password><Colour>hush</Colour>"),
        ("credentials", "CredentialsInfoSpec", "<Password>hush</Password>"),
        ("passwords", "PasswordKeyInfoSpec", f"<Password>{'hush' * 2000}</Password>"),
    ):
        answers.append(client.post(f"{server}/{path}?action=create", _xml(name, inner)))
    assert [answer.status for answer in answers] == [201, 201, 400, 400, 400, 400]
    for path in ("credentials", "passwords"):
        answers += [client.get(f"{server}/{path}"), client.get(f"{server}/{path}", JSON)]
        answers.append(client.get(f"/query?type={path}", JSON))
    assert not [answer.text for answer in answers if "hush" in answer.text]
    assert "hush" not in "".join(capfd.readouterr()) + caplog.text


def test_parts_are_the_administrators_to_change(here: Site, server: str) -> None:
    here.add_account("user", [Role.PORTAL_USER])
    here.add_account("operator", [Role.VM_RESTORE_OPERATOR])
    user, operator = here.client("user"), here.client("operator")
    for path in ("credentials", "passwords"):
        assert user.get(f"{server}/{path}").status == 200
        assert operator.get(f"{server}/{path}").status == 403
        assert user.post(f"{server}/{path}?action=create").status == 403
        for method in ("PUT", "DELETE"):
            assert user.request(method, f"{server}/{path}/{_UNKNOWN}").status == 403
        assert user.get(f"{server}/{path}/{_UNKNOWN}").status == 404
        assert user.get(f"/backupServers/{_UNKNOWN}/{path}").status == 404


def test_of_the_server_the_description_is_changed(client: EmClient, here: Site, server: str) -> None:
    body = _xml("BackupServerSpec", "<Description>of the lab</Description>")
    assert client.request("PUT", server, {}, body).status == 204
    shown = client.get(f"{server}?format=Entity", JSON).json
    assert shown["Description"] == "of the lab"
    same = f"<DnsNameOrIpAddress>{shown['Name']}</DnsNameOrIpAddress><Port>{shown['Port']}</Port>"
    assert client.request("PUT", server, {}, _xml("BackupServerSpec", same)).status == 204
    for inner in (
        "<DnsNameOrIpAddress>other</DnsNameOrIpAddress>",
        "<Port>1</Port>",
        "<Password>x</Password>",
    ):
        refused = client.request("PUT", server, {}, _xml("BackupServerSpec", inner))
        assert (refused.status, "Change the Description" in refused.message) == (501, True)
    assert client.get(f"{server}?format=Entity", JSON).json == shown
    for method, path in (("POST", "/backupServers?action=create"), ("DELETE", server)):
        refused = client.request(method, path)
        assert (refused.status, "only backup server" in refused.message) == (501, True)
