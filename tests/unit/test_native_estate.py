"""What the native API tells of VMs, repositories, accounts and of everything at one look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restorium.catalog import accounts, restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.native import app as native
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.native import NativeClient


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def client(here: Site) -> NativeClient:
    return _logged_on(here, "administrator")


def _logged_on(here: Site, name: str) -> NativeClient:
    return NativeClient(native.create(here.engine)).log_on(name, PASSWORD)


def _scoped(here: Site, *roles: Role) -> NativeClient:
    """Somebody who may see one VM only."""
    with here.database.write() as connection:
        added = accounts.add(connection, "scoped", PASSWORD, roles=roles)
        accounts.set_scopes(connection, added.id, [Scope(here.vms[0].host_id, here.vms[0].vm_ref)])
    return _logged_on(here, "scoped")


def test_vms_are_listed_with_their_points_and_last_restore(here: Site, client: NativeClient) -> None:
    items = client.get("/vms").json()["items"]
    assert [item["vm_name"] for item in items] == sorted(vm.vm_name for vm in here.vms)
    assert all(item["points"] == 1 and item["newest_at"] for item in items)
    restored = [item for item in items if item["restored_at"] is not None]
    assert len(restored) == 2  # one VM of each host has been restored to its end
    scoped = _scoped(here, Role.VM_RESTORE_OPERATOR).get("/vms").json()["items"]
    assert [item["vm_ref"] for item in scoped] == [here.vms[0].vm_ref]


def test_points_are_found_by_vm_and_by_id(here: Site, client: NativeClient) -> None:
    vm = here.vms[0]
    items = client.get(f"/restore-points?host_id={vm.host_id}&vm_ref={vm.vm_ref}").json()["items"]
    assert [(item["host_id"], item["vm_ref"]) for item in items] == [(str(vm.host_id), vm.vm_ref)]
    assert client.get(f"/restore-points/{items[0]['id']}").json() == items[0]
    assert client.get(f"/restore-points/{here.ids['Job']}").status_code == 404


def test_repository_tells_how_it_has_grown(here: Site, client: NativeClient) -> None:
    use = client.get(f"/repositories/{here.ids['Repository']}/use").json()
    [day] = use["days"]
    assert use["points"] == 2
    assert use["stored_bytes"] == day["total_bytes"] == day["added_bytes"] > 2**40
    assert day["day"] == "2031-02-03T00:00:00Z"
    assert (use["verified_at"], use["damaged_points"]) == (None, 0)


def test_overview_counts_what_ran_and_why_it_failed(here: Site, client: NativeClient) -> None:
    with here.database.write() as connection:
        open_one = restore_sessions.unfinished(connection)[0]
        restore_sessions.advance(
            connection,
            open_one.id,
            SessionState.STOPPED,
            result=SessionResult.FAILED,
            reason_code="target-full",
            reason="no room",
            hint="Make some.",
        )
    overview = client.get("/overview").json()
    assert overview["day"] == {"success": 2, "warning": 0, "failed": 1, "running": 1}
    assert [each["id"] for each in overview["troubled"]] == [str(open_one.id)]
    assert overview["troubled"][0]["reason"]["code"] == "target-full"
    assert len(overview["running"]) == 1
    assert overview["backups"]["week"]["warning"] == 1
    assert [run["name"] for run in overview["backups"]["next_runs"]] == ["job east", "job west"]


def test_overview_keeps_to_scope_and_role(here: Site) -> None:
    overview: dict[str, Any] = _scoped(here, Role.VM_RESTORE_OPERATOR).get("/overview").json()
    assert overview["backups"] is None
    assert overview["day"]["success"] + overview["day"]["running"] == 1


def test_roles_and_scope_are_changed(here: Site, client: NativeClient) -> None:
    scoped = _scoped(here, Role.PORTAL_USER)
    [account] = [each for each in client.get("/accounts").json()["items"] if each["name"] == "scoped"]
    path = f"/accounts/{account['id']}"
    assert len(client.get(f"{path}/scope").json()["scopes"]) == 1
    changed = client.request("PUT", f"{path}/roles", json={"roles": ["VM Restore Operator"]})
    assert changed.json()["roles"] == ["VM Restore Operator"]
    assert scoped.get("/hosts").status_code == 403
    everything = {"restore_all": True, "scopes": []}
    assert client.request("PUT", f"{path}/scope", json=everything).json() == everything
    assert len(scoped.get("/vms").json()["items"]) == len(here.vms)
    unknown = {"restore_all": False, "scopes": [{"host_id": str(here.ids["Job"]), "vm_ref": ""}]}
    assert client.request("PUT", f"{path}/scope", json=unknown).status_code == 404
