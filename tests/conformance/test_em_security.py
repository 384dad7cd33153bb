"""Accounts, roles and restore scopes through the interface, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from restorium.catalog import accounts
from restorium.vocabulary.roles import Role
from tests.support.em import (
    JSON,
    NAMESPACE,
    PASSWORD,
    Answer,
    EmClient,
    Site,
    basic,
    links,
    standing_site,
    tag,
)

_ACCOUNTS = "/security/accounts"
_LINKS = [
    ("Alternate", "EnterpriseAccountReference", ""),
    ("Down", "EnterpriseAccountInRoleList", "/roles"),
    ("Create", "EnterpriseAccountInRole", "/roles"),
    ("Down", "EnterpriseAccountHierarchyScopeList", "/scopes"),
    ("Create", "EnterpriseAccountHierarchyScope", "/scopes"),
    ("Delete", None, ""),
    ("ToggleRestoreScopesEnabled", None, ""),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, request.param) as made:
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


def _roles(client: EmClient) -> dict[str, str]:
    """UIDs of the roles by their names."""
    found = client.get("/security/roles", JSON).json["Refs"]
    return {each["Name"]: each["UID"] for each in found}


def _post(client: EmClient, path: str, body: Any) -> Answer:
    return client.post(path, json.dumps(body).encode(), {**JSON, "Content-Type": "application/json"})


def _create(client: EmClient, name: str, *roles: Role, **more: Any) -> Answer:
    uids = _roles(client)
    wanted = {"EnterpriseRoles": [{"EnterpriseRoleUid": uids[role]} for role in roles]}
    body = {"AccountType": "User", "AccountName": name, "Roles": wanted, **more}
    return _post(client, _ACCOUNTS, body)


def _path(answer: Answer) -> str:
    return f"{_ACCOUNTS}/{answer.json['UID'][-36:]}"


def _scope(full: Site, vm: int = 0, kind: str = "Vm") -> dict[str, str]:
    named = full.vms[vm]
    return {"HierarchyObjRef": f"urn:VMware:{kind}:{named.host_id}.{named.vm_ref}", "ObjectName": "any"}


def test_security_leads_to_accounts_and_roles(client: EmClient) -> None:
    found = client.get("/security").xml
    assert (tag(found), found.get("Type")) == ("EnterpriseSecuritySettings", "EnterpriseSecuritySettings")
    assert [(link["Rel"], link.get("Type")) for link in links(found)] == [
        ("Down", "EnterpriseAccountReferenceList"),
        ("Down", "EnterpriseRoleReferenceList"),
        ("Create", None),
        ("Start", None),
    ]
    for link in links(found)[:2]:
        assert tag(client.follow(link["Href"]).xml) == "EntityReferences"


def test_roles_are_listed_and_named_by_ids_that_stay(client: EmClient) -> None:
    found = _roles(client)
    assert set(found) == set(Role)
    assert found[Role.PORTAL_USER] == "urn:veeam:EnterpriseRole:d92374e2-f2fd-5276-b91f-8b28603226e1"
    uid = found[Role.PORTAL_USER]
    shown = client.get(f"/security/roles/{uid[-36:]}?format=Entity", JSON).json
    assert (shown["Name"], shown["UID"], shown["Type"]) == ("Portal User", uid, "EnterpriseRole")


def test_an_account_is_made_read_and_deleted(client: EmClient, full: Site) -> None:
    made = _create(client, "DOMAIN\\ada", Role.VM_RESTORE_OPERATOR, AllowRestoreAllVms=True)
    assert made.status == 201
    path = _path(made)
    assert made.header("Location") == f"{client.base}{path}"
    shown = client.get(f"{path}?format=Entity").xml
    assert [tag(each) for each in shown] == ["Links", "AccountType", "AllowRestoreAllVms"]
    assert [each.text for each in shown[1:]] == ["User", "true"]
    described = [
        (link["Rel"], link.get("Type"), link["Href"].removeprefix(client.base + path))
        for link in links(shown)
    ]
    assert described == _LINKS
    [listed] = [each for each in client.get(_ACCOUNTS, JSON).json["Refs"] if each["Name"] == "DOMAIN\\ada"]
    assert listed["UID"] == made.json["UID"]
    assert client.delete(path).status == 204
    assert client.get(path).status == 404


def test_an_account_made_here_logs_on_once_it_has_a_password(client: EmClient, full: Site) -> None:
    made = _create(client, "newcomer", Role.PORTAL_USER, AllowRestoreAllVms=True)

    def tries(password: str) -> int:
        headers = {"Authorization": basic("newcomer", password)}
        return full.anonymous().post("/sessionMngr/?v=latest", headers=headers).status

    assert [tries(""), tries(PASSWORD)] == [401, 401]
    with full.database.write() as connection:
        found = next(each for each in accounts.list_all(connection) if each.name == "newcomer")
        accounts.set_password(connection, found.id, PASSWORD)
    assert tries(PASSWORD) == 201
    assert str(found.id) == made.json["UID"][-36:]


def test_an_account_is_made_from_xml(client: EmClient, full: Site) -> None:
    role = _roles(client)[Role.FILE_RESTORE_OPERATOR]
    named = _scope(full)
    body = f"""<EnterpriseAccountCreateSpec xmlns="{NAMESPACE}"><AccountType>User</AccountType>
        <AccountName>from xml</AccountName>
        <Roles><EnterpriseRole><EnterpriseRoleUid>{role}</EnterpriseRoleUid></EnterpriseRole></Roles>
        <AllowRestoreAllVms>false</AllowRestoreAllVms>
        <HierarchyScopeObjects>
          <HierarchyScopeItem><HierarchyObjRef>{named["HierarchyObjRef"]}</HierarchyObjRef>
            <ObjectName>x</ObjectName></HierarchyScopeItem>
          <HierarchyScopeItem><HierarchyObjRef>{_scope(full, 2, "Host")["HierarchyObjRef"]}</HierarchyObjRef>
            <ObjectName>y</ObjectName></HierarchyScopeItem>
        </HierarchyScopeObjects></EnterpriseAccountCreateSpec>"""
    made = client.post(_ACCOUNTS, body.encode(), {**JSON, "Content-Type": "application/xml"})
    assert made.status == 201, made.text
    found = client.get(f"{_path(made)}/scopes").xml
    assert tag(found) == "EnterpriseAccountHierarchyScopes"
    assert [[each.text for each in scope[1:]] for scope in found] == [
        ["east 1 & <co>", "east", "VMware", "Vm", "Processed"],
        ["west", "west", "VMware", "Host", "Processed"],
    ]
    [held] = client.get(f"{_path(made)}/roles").xml
    assert [tag(each) for each in held] == ["Links", "RoleName"]
    assert held[1].text == Role.FILE_RESTORE_OPERATOR


def test_roles_are_given_and_taken(client: EmClient) -> None:
    path = _path(_create(client, "changing", Role.PORTAL_USER))
    uid = _roles(client)[Role.SQL_RESTORE_OPERATOR]
    given = _post(client, f"{path}/roles", {"EnterpriseRoleUid": uid})
    assert (given.status, given.json["RoleName"]) == (201, "SQL Restore Operator")
    held = client.get(f"{path}/roles", JSON).json["EnterpriseAccountInRoleList"]
    assert [each["RoleName"] for each in held] == ["Portal User", "SQL Restore Operator"]
    one = client.follow(held[1]["Href"], JSON).json
    assert one["RoleName"] == "SQL Restore Operator"
    assert client.delete(one["Href"].removeprefix(client.base)).status == 204
    assert client.follow(one["Href"]).status == 404
    assert client.delete(one["Href"].removeprefix(client.base)).status == 404
    assert _post(client, f"{path}/roles", {"EnterpriseRoleUid": _ABSENT}).status == 400
    assert _post(client, f"{path}/roles", {}).status == 400


def test_scopes_are_added_and_removed_and_decide_what_is_seen(client: EmClient, full: Site) -> None:
    made = _create(client, "scoped", Role.VM_RESTORE_OPERATOR, AllowRestoreAllVms=False)
    with full.database.write() as connection:
        found = next(each for each in accounts.list_all(connection) if each.name == "scoped")
        accounts.set_password(connection, found.id, PASSWORD)
    scoped, path = full.client("scoped"), _path(made)

    def seen() -> int:
        return len(scoped.get("/vmRestorePoints", JSON).json["Refs"])

    assert seen() == 0
    added = _post(client, f"{path}/scopes", {"HierarchyScopeItems": [_scope(full)]})
    assert added.status == 202
    task = client.follow(added.header("Location") or "", JSON).json
    assert (task["Operation"], task["Result"]["Success"]) == ("StartRebuildScope", True)
    assert task["Links"][0]["Type"] == "EnterpriseAccount"
    assert seen() == 1
    [scope] = client.get(f"{path}/scopes", JSON).json["EnterpriseAccountHierarchyScopes"]
    assert client.follow(scope["Href"], JSON).json["Name"] == "east 1 & <co>"
    assert client.post(path).status == 204
    assert client.get(f"{path}?format=Entity", JSON).json["AllowRestoreAllVms"] is True
    assert seen() == 4
    assert client.post(path).status == 204
    assert client.delete(scope["Href"].removeprefix(client.base)).status == 204
    assert seen() == 0
    assert client.follow(scope["Href"]).status == 404


def test_what_is_not_offered_or_wrong_is_named(client: EmClient, full: Site) -> None:
    for more, status, told in (
        ({"AccountType": "Group"}, 501, "Group"),
        ({"FlrSettings": {"FlrInplaceOnly": True}}, 501, "FlrSettings"),
        ({"SqlSettings": {"DenyInPlaceRestore": True}}, 501, "SqlSettings"),
        ({"HierarchyScopeObjects": {"HierarchyScopeItems": [{"ObjectName": "x"}]}}, 400, "HierarchyObjRef"),
        ({"HierarchyScopeObjects": [_scope(full, kind="Folder")]}, 400, "Folder"),
        (
            {"HierarchyScopeObjects": [{"HierarchyObjRef": f"urn:VMware:Vm:{_ABSENT}.vm-1"}]},
            400,
            _ABSENT,
        ),
        ({"Colour": "red"}, 400, "Colour"),
        ({"AccountName": "  "}, 400, "AccountName"),
    ):
        refused = _create(client, "never made", Role.PORTAL_USER, **more)
        assert refused.status == status, (more, refused.text)
        assert told in refused.message
    assert _post(client, _ACCOUNTS, {"AccountName": "x"}).status == 400
    assert "never made" not in client.get(_ACCOUNTS).text
    accepted = _create(client, "lax", Role.PORTAL_USER, FlrSettings={"FlrInplaceOnly": False})
    assert accepted.status == 201


def test_the_last_administrator_stays_one(client: EmClient) -> None:
    [own] = [each for each in client.get(_ACCOUNTS, JSON).json["Refs"] if each["Name"] == "administrator"]
    path = f"{_ACCOUNTS}/{own['UID'][-36:]}"
    role = _roles(client)[Role.PORTAL_ADMINISTRATOR][-36:]
    for asked in (path, f"{path}/roles/{role}"):
        refused = client.delete(asked)
        assert refused.status == 500
        assert "last Portal Administrator" in refused.message
    assert client.get(path).status == 200


def test_scopes_are_rebuilt_by_a_task(client: EmClient) -> None:
    body = f'<RebuildScopeJobSpec xmlns="{NAMESPACE}"><RebuildAll /></RebuildScopeJobSpec>'
    started = client.post(f"{_ACCOUNTS}?action=rebuildScope", body.encode(), JSON)
    assert started.status == 202
    told = client.follow(started.header("Location") or "", JSON).json
    assert (told["Operation"], told["State"], told["Result"]["Success"]) == (
        "StartRebuildScope",
        "Finished",
        True,
    )
    assert [link["Rel"] for link in told["Links"]] == ["Delete"]


def test_security_is_for_administrators(client: EmClient, full: Site) -> None:
    full.add_account("monitor", [Role.PORTAL_USER])
    monitor = full.client("monitor")
    one = client.get(_ACCOUNTS, JSON).json["Refs"][0]["UID"][-36:]
    for method, path in (
        ("GET", "/security"),
        ("GET", "/security/roles"),
        ("GET", _ACCOUNTS),
        ("POST", _ACCOUNTS),
        ("GET", f"{_ACCOUNTS}/{one}"),
        ("POST", f"{_ACCOUNTS}/{one}"),
        ("DELETE", f"{_ACCOUNTS}/{one}"),
        ("GET", f"{_ACCOUNTS}/{one}/roles"),
        ("POST", f"{_ACCOUNTS}/{one}/roles"),
        ("DELETE", f"{_ACCOUNTS}/{one}/roles/{_ABSENT}"),
        ("GET", f"{_ACCOUNTS}/{one}/scopes"),
        ("POST", f"{_ACCOUNTS}/{one}/scopes"),
        ("DELETE", f"{_ACCOUNTS}/{one}/scopes/{_ABSENT}"),
    ):
        assert monitor.request(method, path).status == 403, (method, path)


_ABSENT = "00000000-0000-4000-8000-000000000001"
