"""Every resource against the facts of the interface: members, links, queries, enumerations and roles.

tests/facts/em.json holds the facts, reduced from the public reference and from recorded answers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from restorium.catalog.database import Database
from restorium.em.entity import entities, entity
from restorium.vocabulary.roles import Role
from tests.support.clock import ManualClock
from tests.support.em import (
    FACTS,
    JSON,
    EmClient,
    Site,
    allowed,
    children,
    links,
    populate,
    site,
    standing_site,
    tag,
)

QUERIED: dict[str, Any] = FACTS["types"]
TYPES: dict[str, Any] = QUERIED | FACTS["unqueried"]
VM = "west 1 & <co>"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z"
_WRITTEN = {
    "DateTime": _INSTANT,
    "Long": r"-?\d+",
    "Int": r"-?\d+",
    "int": r"-?\d+",
    "Double": r"\d+(\.\d+)?",
    "Boolean": "true|false",
    "UidType": r"urn:(veeam|VMware):[A-Za-z]+:[0-9a-f-]{36}(\..+)?",
    "HierarchyObjRefType": r"urn:VMware:(Vm|Vapp):[0-9a-f-]{36}\..+",
}
_READ: dict[type, Any] = {bool: "true".__eq__, int: int, float: float, str: str}
_MEMBER_OF = {
    ("RestoreSession", "Type"): "JobType",
    ("VmRestorePoint", "Type"): "PointType",
    ("VAppRestorePoint", "Type"): "PointType",
    ("RestorePoint", "CreationTime"): "BackupDateUTC",
    ("BackupFile", "CreationTimeUTC"): "CreationTimeUtc",
    ("BackupServer", "IpOrDnsName"): "Name",
}
"""Where a document says what a field of a query asks for, if that is not of the field's name, with UTC or without."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, request.param) as made:
        yield made


@pytest.fixture
def client(full: Site) -> EmClient:
    return full.client()


def _id(full: Site, kind: str) -> str:
    """Of the one thing of a kind that is looked at, as its UID has it."""
    named = {"CatalogVm": VM, "CatalogVmRestorePoint": full.ids["VmRestorePoint"]}
    return str({**full.ids, **named}[kind])


def _list(kind: str) -> str:
    return "/" + TYPES[kind]["path"].replace("{vmname}", quote(VM))


def _at(full: Site, kind: str) -> str:
    return f"{_list(kind)}/{quote(_id(full, kind))}"


def _entity(client: EmClient, full: Site, kind: str, headers: dict[str, str] | None = None) -> Any:
    return client.get(f"{_at(full, kind)}?format=Entity", headers)


def test_facts_are_of_the_declared_types(full: Site) -> None:
    """The others are what this server never has any of; tests/conformance/test_em_empty.py has them."""
    assert set(QUERIED) <= {each.type for each in entities() if each.queried}
    assert set(FACTS["unqueried"]) <= {each.type for each in entities() if not each.queried}


def test_xml_has_the_documented_members_in_order(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        facts, found = TYPES[kind], _entity(client, full, kind).xml
        assert tag(found) == kind
        assert sorted(found.attrib) == sorted(facts["attributes"])
        assert [tag(child) for child in found] == ["Links", *facts["elements"]]
        for name, written in facts["elements"].items():
            if written in _WRITTEN:
                [member] = children(found, name)
                assert re.fullmatch(_WRITTEN[written], member.text or ""), (name, member.text)
        assert found.get("UID") == f"urn:veeam:{kind}:{_id(full, kind)}"
        assert found.get("Href") == f"{client.base}{_at(full, kind)}?format=Entity"


def test_values_of_enumerations_are_documented_ones(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        found = _entity(client, full, kind).xml
        for name, known in TYPES[kind]["enums"].items():
            [member] = children(found, name)
            assert member.text in known, name


def test_json_says_the_same_as_xml(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        facts = TYPES[kind]
        shown, told = _entity(client, full, kind).xml, _entity(client, full, kind, JSON).json
        known = {name for name, value in told.items() if value is not None}
        assert known == {*facts["attributes"], "Links", *facts["elements"]}
        assert set(told) - known <= set(facts["absent"])
        for name in facts["attributes"]:
            assert told[name] == shown.get(name)
        for name, written in facts["elements"].items():
            if written is None:
                continue  # has members of its own
            [member] = children(shown, name)
            assert told[name] == _READ[type(told[name])](member.text or "")
        assert told["Links"] == [
            {name: link.get(name) for name in ("Rel", "Href", "Name", "Type")} for link in links(shown)
        ]


def test_links_are_the_documented_ones_in_order(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        shown = links(_entity(client, full, kind).xml)
        assert [_described(client, link) for link in shown] == TYPES[kind]["links"]


def test_links_of_references_are_the_documented_ones(client: EmClient, full: Site) -> None:
    for kind in [kind for kind in TYPES if "reference_links" in TYPES[kind]]:
        shown = client.get(_at(full, kind)).xml
        assert [_described(client, link) for link in links(shown)] == TYPES[kind]["reference_links"]


def _described(client: EmClient, link: dict[str, str]) -> list[str | bool | None]:
    path = _GUID.sub("{ID}", link["Href"].removeprefix(client.base)).replace(quote(VM), "{vmname}")
    return [link["Rel"], link.get("Type"), path, "Name" in link]


def test_reference_and_entity_lead_to_each_other(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        reference = client.get(_at(full, kind)).xml
        assert (tag(reference), reference.get("Type")) == ("EntityRef", f"{kind}Reference")
        [away] = [link for link in links(reference) if link["Rel"] == "Alternate"]
        shown = client.follow(away["Href"]).xml
        assert (tag(shown), away["Type"], away["Name"]) == (kind, kind, shown.get("Name"))
        [back] = [link for link in links(shown) if link["Rel"] == "Alternate"]
        assert client.follow(back["Href"]).body == client.get(_at(full, kind)).body


def test_every_link_to_read_leads_somewhere(client: EmClient, full: Site) -> None:
    for kind in TYPES:
        for link in links(_entity(client, full, kind).xml):
            if link["Rel"] in ("Up", "Down", "Alternate", "Related"):
                found = client.follow(link["Href"]).xml
                kinds = {
                    "EntityReferences": link["Type"].endswith("ReferenceList"),
                    "EntityRef": link["Type"].endswith("Reference"),
                    link["Type"]: True,
                }
                many = link["Type"].endswith("List")
                assert kinds.get(tag(found), many), (link, tag(found))
                if tag(found) in ("EntityRef", link["Type"]):
                    assert found.get("Name") == link["Name"]


def test_lists_have_the_documented_roots(client: EmClient) -> None:
    for kind in TYPES:
        facts = TYPES[kind]
        references = client.get(_list(kind)).xml
        assert tag(references) == "EntityReferences"
        assert {tag(each) for each in references} == {"Ref"}
        shown = client.get(f"{_list(kind)}?format=Entity").xml
        assert (tag(shown), {tag(each) for each in shown}) == (facts["plural"], {kind})
        assert list(client.get(_list(kind), JSON).json) == ["Refs"]
        assert list(client.get(f"{_list(kind)}?format=Entity", JSON).json) == [facts["plural"]]


def test_query_has_the_documented_parts(client: EmClient) -> None:
    for kind in QUERIED:
        plural = TYPES[kind]["plural"]
        references = client.get(f"/query?type={kind}").xml
        assert (tag(references), [tag(part) for part in references]) == ("QueryResult", ["Refs"])
        [part] = client.get(f"/query?type={kind}&format=Entities").xml
        assert (tag(part), [tag(each) for each in part]) == ("Entities", [plural])
        told = client.get(f"/query?type={kind.upper()}&FORMAT=entities", JSON).json
        assert list(told) and set(told) == {"Refs", "Entities", "Resources", "Links", "PagingInfo"}
        assert set(told["Entities"]) == set(FACTS["slots"])
        assert [name for name, slot in told["Entities"].items() if slot is not None] == [plural]
        assert [each["Type"] for each in told["Entities"][plural][plural]] == [kind] * len(part[0])
        assert client.get(f"/query?type={kind}", JSON).json["Refs"]["Refs"][0]["Type"] == f"{kind}Reference"


def test_camel_case_is_that_of_release_13(database: Database, tmp_path: Path, clock: ManualClock) -> None:
    with site(database, tmp_path, clock, em={"json_camel_case": True}) as made:
        client = populate(made, clock).client()
        for kind, facts in TYPES.items():
            told = _entity(client, made, kind, JSON).json
            names = [*facts["attributes"], *facts["elements"], "Links"]
            assert {"uid" if name == "UID" else name[0].lower() + name[1:] for name in names} <= set(told)
            assert all(set(link) == {"rel", "href", "name", "type"} for link in told["links"])
        told = client.get("/query?type=Job&format=Entity", JSON).json
        assert set(told) == {"refs", "entities", "resources", "links", "pagingInfo"}
        assert set(told["entities"]) == set(FACTS["slots"].values())
        assert told["entities"]["jobs"]["jobs"][0]["jobInfo"]["backupJobInfo"]["includes"]["objectInJobs"]
        assert "supportedVersions" in client.get("/", JSON).json


def test_each_documented_field_filters_and_sorts(client: EmClient, full: Site) -> None:
    for kind in QUERIED:
        own = _entity(client, full, kind, JSON).json
        everything = client.get(f"/{TYPES[kind]['path']}?format=Entity", JSON).json[TYPES[kind]["plural"]]
        for name, written in QUERIED[kind]["query"].items():
            value = _asked(full, own, name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            condition = quote('{}{}"{}"'.format(name, "{}", text.replace('"', '""')), safe="{}")
            for asked in (condition, condition.swapcase() if name in ("Name", "UID") else condition):
                equal = _uids(client, kind, asked.format("=="))
                assert own["UID"] in equal, (name, text)
                other = _uids(client, kind, asked.format("!="))
                assert equal | other == {each["UID"] for each in everything}
                assert not equal & other
            up, down = (_sorted(client, kind, f"{order}={name}") for order in ("sortAsc", "sortDesc"))
            assert up == down[::-1]
            keys = [_key(_asked(full, each, name), TYPES[kind]["query_enums"].get(name)) for each in up]
            if "Job" not in name or kind not in ("Backup", "BackupTaskSession"):
                assert keys == sorted(keys), (name, written)


def _uids(client: EmClient, kind: str, condition: str) -> set[str]:
    found = client.get(f"/query?type={kind}&filter={condition}", JSON).json["Refs"]["Refs"]
    return {each["UID"] for each in found}


def _sorted(client: EmClient, kind: str, order: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/{TYPES[kind]['path']}?format=Entity&{order}", JSON).json[
        TYPES[kind]["plural"]
    ]
    return found


def _asked(full: Site, shown: dict[str, Any], name: str) -> Any:
    """What a document says of a query field: a member, or the name or id that a link has."""
    for member in (_MEMBER_OF.get((shown["Type"], name), name), f"{name}UTC"):
        if member in shown:
            return shown[member]
    match = re.fullmatch(r"(\w+?)(Uid|Id|Name)", name)
    if match is None:
        assert name == "EndTime"
        return None
    for link in shown["Links"]:
        if link["Rel"] == "Up" and link["Type"] == f"{match[1]}Reference":
            return link["Name"] if match[2] == "Name" else f"urn:veeam:{match[1]}:{link['Href'][-36:]}"
    assert match[1] == "Job"
    return f"urn:veeam:Job:{full.ids['Job']}" if match[2] == "Uid" else "job west"


def _key(value: Any, members: list[str] | None) -> Any:
    return (value is not None, value if value is None else _present(value, members))


def _present(value: Any, members: list[str] | None) -> Any:
    if members is not None:
        return [member.lower() for member in ["None", *members]].index(str(value).lower())
    if isinstance(value, str) and re.fullmatch(_INSTANT, value):
        return datetime.fromisoformat(value)
    return value.lower() if isinstance(value, str) else value


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def test_ratios_are_compared_as_they_are_shown(client: EmClient) -> None:
    """A factor between two that can be shown equals neither, and lies where it lies."""
    files = _sorted(client, "BackupFile", "sortAsc=Name")
    for factor in ("2.15", "2.150", "2.155", "2.1549", "2.16", "4", "4.004", "0.001", "-1.5"):
        for written, holds in _OPERATORS.items():
            expected = {each["UID"] for each in files if holds(each["CompressRatio"], float(factor))}
            found = _uids(client, "BackupFile", quote(f"CompressRatio{written}{factor}"))
            assert found == expected, (written, factor)
    assert {each["CompressRatio"] for each in files} == {2.15, 2.16, 4}


def test_enumerations_are_ordered_as_documented(client: EmClient) -> None:
    for kind in QUERIED:
        for name, known in QUERIED[kind]["query_enums"].items():
            own = [str(member) for member in _members(kind, name)]
            lower = [member.lower() for member in known]
            places = [lower.index(member.lower()) for member in own if member.lower() in lower]
            assert places == sorted(places) and places
            for member in own:
                assert client.get(f"/query?type={kind}&filter={name}=={member.upper()}").status == 200


def _members(kind: str, name: str) -> list[str]:
    return [each.strip() for each in entity(kind).queryable[name.lower()].codec.expected[7:].split(",")]


def test_fields_are_found_in_any_case_and_unknown_ones_named(client: EmClient) -> None:
    assert len(_uids(client, "RestoreSession", "sTaTe==stopped")) == 2
    refused = client.get("/query?type=RestoreSession&filter=Colour==red")
    assert refused.status == 400
    assert "'Colour'" in refused.message and "VmDisplayName" in refused.message
    assert client.get("/query?type=RestoreSession&sortAsc=Colour").status == 400
    assert client.get("/query?type=Kettle").status == 400
    assert client.get("/query").status == 400


def test_query_service_lists_what_the_caller_may_query(client: EmClient, full: Site) -> None:
    found = client.get("/querySvc").xml
    assert (tag(found), found.get("Type")) == ("QuerySvc", "QueryService")
    assert {*QUERIED, "Task"} <= {link["Type"] for link in links(found)}
    for link in links(found):
        assert link["Rel"] == "Down"
        assert tag(client.follow(link["Href"]).xml) == "QueryResult"
    full.add_account("operator", [Role.VM_RESTORE_OPERATOR])
    offered = {link["Type"] for link in links(full.client("operator").get("/querySvc").xml)}
    restorable = {"Backup", "RestorePoint", "RestoreSession", "VmRestorePoint", "VAppRestorePoint"}
    assert offered & set(QUERIED) == restorable


def test_objects_of_a_job_name_its_vms(client: EmClient, full: Site) -> None:
    found = client.get(f"/jobs/{full.ids['Job']}/includes").xml
    assert (tag(found), {tag(each) for each in found}) == ("ObjectsInJob", {"ObjectInJob"})
    names = [children(each, "DisplayName")[0].text for each in found]
    refs = [children(each, "HierarchyObjRef")[0].text for each in found]
    assert names == ["west 1 & <co>", "west 2 & <co>"]
    assert refs == [f"urn:VMware:Vm:{full.ids['HierarchyRoot']}.vm-{number}" for number in (1, 2)]
    [information] = children(_entity(client, full, "Job").xml, "JobInfo")
    inside = information[0][0]
    assert [tag(information[0]), tag(inside)] == ["BackupJobInfo", "Includes"]
    assert [children(each, "HierarchyObjRef")[0].text for each in inside] == refs


def test_each_role_gets_as_far_as_the_reference_says(full: Site) -> None:
    """A route that the reference's list of a role does not mention is left open by this test."""
    checked = 0
    for role in Role:
        full.add_account(role, [role])
        client = full.client(role)
        for method, path in _routes():
            may = allowed(role, method, path)
            if may is None:
                continue
            answer = client.request(method, _named(full, path))
            assert (answer.status != 403) == may, (role, method, path, answer.status)
            assert answer.status not in (401, 404, 405)
            checked += 1
    assert checked > 250


def _routes() -> Iterator[tuple[str, str]]:
    """Every route to read or to act that follows from the documented links, lists and queries."""
    for kind, facts in TYPES.items():
        yield "GET", f"/{facts['path']}"
        yield "GET", f"/{facts['path']}/{{ID}}"
        if kind in QUERIED:
            yield "GET", f"/query?type={kind}"
        for rel, _, path, _ in facts["links"]:
            if rel in ("Down", "Related") and path.startswith(f"/{facts['path']}/"):
                yield "GET", path
            elif rel in (
                "Create",
                "Start",
                "Stop",
                "Retry",
                "Clone",
                "Restore",
                "Browse",
                "VeeamZip",
                "QuickBackup",
            ):
                yield "POST", path
    yield "GET", "/tasks"
    yield "GET", "/query?type=Task"
    yield "GET", "/querySvc"


def _named(full: Site, path: str) -> str:
    kinds = {facts["path"]: kind for kind, facts in TYPES.items()}
    if path.startswith("/catalog/"):
        path = path.replace("/vms/{ID}", f"/vms/{quote(VM)}").replace("{vmname}", quote(VM))
        return path.replace("{ID}", _id(full, "CatalogVmRestorePoint"))
    kind = kinds.get(path.split("/")[1])
    return path if kind is None else path.replace("{ID}", str(full.ids[kind]))


def test_roles_add_up(full: Site) -> None:
    full.add_account("both", [Role.PORTAL_USER, Role.VM_RESTORE_OPERATOR])
    client = full.client("both")
    assert client.get("/repositories").status == 200
    assert client.post(f"/vmRestorePoints/{full.ids['VmRestorePoint']}?action=restore", b"<").status == 400
    assert client.get("/jobs").status == 403


def test_bits_of_xml_are_well_formed_in_any_order_of_reading(client: EmClient) -> None:
    """The prolog comes first and says UTF-8; the root declares the namespaces that XmlSerializer does."""
    body = client.get("/restoreSessions").body
    assert body.startswith(b'<?xml version="1.0" encoding="utf-8"?><EntityReferences ')
    assert etree.fromstring(body).nsmap == {
        None: "http://www.veeam.com/ent/v1.0",
        "xsd": "http://www.w3.org/2001/XMLSchema",
        "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    }
