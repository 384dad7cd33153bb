"""Cloud Director through the Enterprise Manager API: its hierarchy, vApp restore points, restores of vApps and VMs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import accounts
from restorium.catalog.accounts import Scope
from restorium.em import app as em
from restorium.flows import jobs, repositories
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult
from tests.support.em import JSON, PASSWORD, EmClient
from tests.support.flows import KEY, MIB, Site
from tests.support.labs import add_host
from tests.support.labs.cloud_director import CloudDirectorLab

pytestmark = pytest.mark.slow

_CONTENTS = {name: {"disk0": random.Random(name).randbytes(MIB)} for name in ("web", "db")}


class Shop:
    """A vApp of two VMs, backed up, and a client of an administrator."""

    def __init__(self, folder: Path, lab: CloudDirectorLab, site: Site) -> None:
        self.lab, self.site = lab, site
        self.refs = {name: lab.add_vm(name, contents) for name, contents in _CONTENTS.items()}
        self.root = add_host(site.engine, lab)
        repository = repositories.add(site.engine, "main", (folder / "vault").as_uri(), KEY)
        vms = [(self.root, ref) for ref in self.refs.values()]
        self.job_id = jobs.add(site.engine, "nightly", repository, vms)
        site.engine.start()
        assert site.back_up(self.job_id).result is SessionResult.SUCCESS
        self._app = em.create(site.engine)
        self.client = self.log_on("administrator", Role.PORTAL_ADMINISTRATOR)
        [self.point] = self.all("VAppRestorePoint")

    def log_on(self, name: str, role: Role, *scopes: Scope) -> EmClient:
        with self.site.database.write() as connection:
            account = accounts.add(
                connection, name, PASSWORD, roles=frozenset({role}), restore_all=not scopes
            )
            accounts.set_scopes(connection, account.id, scopes)
        return EmClient(self._app).log_on(name)

    def all(self, kind: str) -> list[dict[str, Any]]:
        found = self.client.get(f"/query?type={kind}&format=Entities", JSON).json["Entities"]
        [[listed]] = [each.values() for each in found.values() if each]
        return list(listed)

    def ref(self, kind: str, name: str) -> str:
        found = self.client.get(f"/lookup?host={self.root}&type={kind}&name={name}", JSON)
        [item] = found.json["HierarchyItems"]
        return str(item["ObjectRef"])

    def vm_points(self) -> dict[str, str]:
        return {each["VmName"]: each["UID"] for each in self.all("VmRestorePoint")}

    def restore(self, path: str, body: Mapping[str, Any]) -> dict[str, str]:
        """Ask, and wait for all; gives the restored objects by VM."""
        before = {each["UID"] for each in self.all("RestoreSession")}
        answer = self.client.post(f"{path}?action=restore", json.dumps(body).encode())
        assert answer.status == 202, answer.text
        task = self.client.get(answer.header("Location").partition("/api")[2], JSON).json
        assert task["Result"]["Success"] is True, task
        assert task["Links"][0]["Type"] == "RestoreSession"
        asked = [each for each in self.all("RestoreSession") if each["UID"] not in before]
        for each in asked:
            self.site.restore_ended(_guid(each["UID"]))
        ended = [each for each in self.all("RestoreSession") if each["UID"] not in before]
        assert {each["Result"] for each in ended} == {"Success"}, ended
        return {each["VmDisplayName"]: each["RestoredObjRef"] for each in ended}

    @property
    def path(self) -> str:
        return "/vAppRestorePoints/" + self.point["UID"].rpartition(":")[2]


def _guid(uid: str) -> UUID:
    return UUID(uid.rpartition(":")[2])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    lab = CloudDirectorLab(tmp_path)
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    try:
        yield Shop(tmp_path, lab, site)
    finally:
        site.close()
        lab.close()


def test_the_hierarchy_is_that_of_cloud_director(shop: Shop) -> None:
    roots = {each["Name"]: each["HostType"] for each in shop.all("HierarchyRoot")}
    assert roots["lab"] == "VcdSystem"
    servers = {each["Name"]: each["ManagedServerType"] for each in shop.all("ManagedServer")}
    assert servers["lab"] == "VcdSystem"
    items = shop.client.get(f"/lookup?host={shop.root}", JSON).json["HierarchyItems"]
    assert [(each["ObjectType"], each["ObjectName"]) for each in items] == [
        ("VcdSystem", "lab"),
        ("Organization", "acme"),
        ("OrgVdc", "acme-vdc"),
        ("OrgVdcStorageProfile", "bronze"),
        ("OrgVdcStorageProfile", "gold"),
        ("Vapp", "shop"),
        ("Vm", "web"),
        ("Vm", "db"),
    ]
    assert items[-1]["ObjectRef"] == f"urn:vCloud:Vm:{shop.root}.{shop.refs['db']}"
    [one] = shop.client.get(f"/lookup?hierarchyRef={items[5]['ObjectRef']}", JSON).json["HierarchyItems"]
    assert one == items[5]
    limited = shop.log_on("limited", Role.PORTAL_USER, Scope(shop.root, shop.refs["web"]))
    seen = limited.get(f"/lookup?host={shop.root}", JSON).json["HierarchyItems"]
    assert [each["ObjectName"] for each in seen] == ["lab", "web"], "no name of what it may not see"


def test_a_run_that_backs_up_a_vapp_has_a_point_of_it(shop: Shop) -> None:
    assert shop.point["VAppDisplayName"] == "shop"
    assert shop.point["HierarchyObjRef"] == shop.ref("Vapp", "shop")
    assert (shop.point["PointType"], shop.point["Algorithm"]) == ("Full", "Full")
    assert shop.site.back_up(shop.job_id).result is SessionResult.SUCCESS
    kinds = [each["PointType"] for each in shop.all("VAppRestorePoint")]
    assert sorted(kinds) == ["Full", "Increment"]
    [restore_point] = [
        each["Href"] for each in shop.point["Links"] if each["Type"] == "RestorePointReference"
    ]
    below = shop.client.follow(f"{restore_point}/vAppRestorePoints", JSON).json["Refs"]
    assert [each["UID"] for each in below] == [shop.point["UID"]]


def test_a_vapp_is_restored_beside_under_a_new_name(shop: Shop) -> None:
    points = shop.vm_points()
    spec = {
        "PowerOnAfterRestore": True,
        "HierarchyRootUid": f"urn:veeam:HierarchyRoot:{shop.root}",
        "OrgVdcRef": shop.ref("OrgVdc", "acme-vdc"),
        "VAppNewName": "shop2",
        "VmsRestoreParameters": [
            {
                "VmRestorePointUid": points["web"],
                "VmNewName": "web2",
                "OrgVdcStorageProfileRef": shop.ref("OrgVdcStorageProfile", "gold"),
            }
        ],
    }
    restored = shop.restore(shop.path, {"VCloudVAppRestoreSpec": spec})
    made = {name: shop.lab.vm(ref.rpartition(".")[2]) for name, ref in restored.items()}
    assert {name: (vm.name, vm.profile) for name, vm in made.items()} == {
        "web": ("web2", "gold"),
        "db": ("db", "bronze"),
    }
    [vapp] = {vm.vapp for vm in made.values()}
    assert shop.lab.estate.vapps[vapp].name == "shop2"
    for name, vm in made.items():
        ref = f"urn:vcloud:vm:{vm.id}"
        assert shop.lab.contents(ref) == _CONTENTS[name]
        assert shop.lab.runs(ref)
        assert not shop.lab.runs(shop.refs[name])
    refused = shop.client.post(
        f"{shop.path}?action=restore", json.dumps({"VCloudVAppRestoreSpec": spec}).encode()
    )
    assert (refused.status, "shop2 already" in refused.message) == (500, True), refused.text


def test_a_vapp_is_restored_over_the_original_where_it_still_is(shop: Shop) -> None:
    for ref in shop.refs.values():
        shop.lab.start(ref)
        shop.lab.write(ref, "disk0", 4096, b"changed")
    spec = {"PowerOnAfterRestore": True, "OrgVdcRef": shop.ref("OrgVdc", "acme-vdc")}
    restored = shop.restore(shop.path, {"VCloudVAppRestoreSpec": spec})
    assert restored == {name: f"urn:vCloud:Vm:{shop.root}.{ref}" for name, ref in shop.refs.items()}
    for name, ref in shop.refs.items():
        assert shop.lab.contents(ref) == _CONTENTS[name]
        assert shop.lab.runs(ref)
    assert not shop.lab.leftovers()


def test_a_vapp_that_is_gone_is_made_anew_in_the_vdc_that_is_named(shop: Shop) -> None:
    for ref in shop.refs.values():
        shop.lab.remove_vm(ref)
    shop.lab.estate.vapps.clear()
    body = {"VCloudVAppRestoreSpec": {"OrgVdcRef": shop.ref("OrgVdc", "acme-vdc")}}
    restored = shop.restore(shop.path, body)
    assert {shop.lab.vm(ref.rpartition(".")[2]).name for ref in restored.values()} == {"web", "db"}
    assert [each.name for each in shop.lab.estate.vapps.values()] == ["shop"]


def test_a_vm_is_restored_to_the_vapp_that_is_named(shop: Shop) -> None:
    shop.lab.estate.vapp_named("spare")
    point = shop.vm_points()["web"].rpartition(":")[2]
    spec = {"vAppRef": shop.ref("Vapp", "spare"), "VmRestoreParameters": {"VmNewName": "web3"}}
    restored = shop.restore(f"/vmRestorePoints/{point}", {"vCloudVmRestoreSpec": spec})
    made = shop.lab.vm(restored["web"].rpartition(".")[2])
    assert (made.name, shop.lab.estate.vapps[made.vapp].name) == ("web3", "spare")


def test_who_may_not_restore_all_of_a_vapp_may_not_restore_it(shop: Shop) -> None:
    limited = shop.log_on("limited", Role.VM_RESTORE_OPERATOR, Scope(shop.root, shop.refs["web"]))
    assert limited.get(shop.path).status == 200
    assert limited.post(f"{shop.path}?action=restore").status == 403


def test_a_spec_that_is_wrong_is_refused(shop: Shop) -> None:
    nobody = "2f0e8dcb-8bf9-4b6a-8b2c-0a3f4bdf1f6c"
    specs: list[dict[str, Any]] = [
        {"OrgVdcRef": "nonsense"},
        {"OrgVdcRef": f"urn:vCloud:OrgVdc:{nobody}.x"},
        {"VmsRestoreParameters": [{"VmNewName": "nobody"}]},
        {"VmsRestoreParameters": [{"VmRestorePointUid": nobody}]},
        {"QuickRollback": True},
        {"VmsRestoreParameters": {"Vm": {"LinkedCloneVmTemplateRef": "x"}}},
    ]
    bodies: list[dict[str, Any]] = [{"vCloudVAppRestoreSpec": spec} for spec in specs]
    for body in (*bodies, {"VmRestoreSpec": {}}, {"vCloudVmRestoreSpec": {}}):
        answer = shop.client.post(f"{shop.path}?action=restore", json.dumps(body).encode())
        assert answer.status == 400, (body, answer.text)
    assert shop.all("RestoreSession") == []
