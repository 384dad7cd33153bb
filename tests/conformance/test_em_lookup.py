"""Looking up the objects of a host, over an inventory that is handed in."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote
from uuid import UUID

import pytest

from restorium.catalog.accounts import Scope
from restorium.flows import inventory
from restorium.flows.engine import Engine
from restorium.hosts.interface import VmInfo
from restorium.vocabulary.roles import Role
from tests.support.em import JSON, EmClient, Site, links, standing_site, tag


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def _inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    def list_vms(_engine: Engine, _host_id: UUID) -> list[VmInfo]:
        return [VmInfo("vm-1", "Alpha", ()), VmInfo("vm-2", "beta", ())]

    monkeypatch.setattr(inventory, "list_vms", list_vms)


def _found(client: EmClient, asked: str) -> list[str]:
    answer = client.get(f"/lookup?{asked}", JSON)
    assert answer.status == 200, answer.text
    return [each["ObjectName"] for each in answer.json["HierarchyItems"]]


def test_vms_are_found_by_host_name_type_and_reference(full: Site) -> None:
    client, root = full.client(), full.ids["HierarchyRoot"]
    host = f"host=urn:veeam:HierarchyRoot:{root}"
    assert _found(client, host) == ["west", "Alpha", "beta"]
    assert _found(client, f"host={root}&type=Vm&name=*") == ["Alpha", "beta"]
    assert _found(client, f"{host}&type=vm&name=alpha") == ["Alpha"]
    reference = f"urn:VMware:Vm:{root}.vm-2"
    for name in ("hierarchyRef", "hierachyRef"):
        assert _found(client, f"{name}={quote(reference)}") == ["beta"]
    shown = client.get(f"/lookup?{host}&name=beta").xml
    assert tag(shown) == "HierarchyItems"
    assert [each.text for each in shown[0]] == [reference, "Vm", "beta"]


def test_unknown_hosts_and_unnamed_ones_are_refused(full: Site) -> None:
    client = full.client()
    assert client.get("/lookup?name=beta").status == 400
    assert client.get("/lookup?host=nonsense").status == 400
    assert client.get(f"/lookup?host={UUID(int=7)}").status == 404


def test_the_service_leads_to_each_host(full: Site) -> None:
    client = full.client()
    found = client.get("/lookupSvc").xml
    assert (tag(found), [link["Name"] for link in links(found)]) == ("LookupSvc", ["east", "west"])
    for link in links(found):
        assert tag(client.follow(link["Href"]).xml) == "HierarchyItems"


def test_a_scope_hides_other_vms(full: Site) -> None:
    root = full.ids["HierarchyRoot"]
    full.add_account("scoped", [Role.PORTAL_USER], [Scope(root, "vm-2")])
    assert _found(full.client("scoped"), f"host={root}&type=Vm") == ["beta"]
    full.add_account("restorer", [Role.VM_RESTORE_OPERATOR])
    assert full.client("restorer").get(f"/lookup?host={root}").status == 403
