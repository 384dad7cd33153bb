"""Hosts through the native API: what kinds there are, and changing how one is reached without leaking its password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium import hosts
from restorium.catalog.database import Database
from restorium.hosts import Kind
from restorium.hosts.image_folder import ImageFolder
from restorium.hosts.interface import Host, Login
from restorium.native import app as native
from restorium.vocabulary.errors import HostError
from restorium.vocabulary.hierarchy import HostType, ManagedServerType, Platform
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.native import NativeClient

pytestmark = pytest.mark.slow

_RIGHT = "right password"


class Doors:
    """Opens image folders for ``clerk`` with the right password alone; ``tried`` are all logons, ``closed`` a count."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, Login]] = []
        self.closed = 0

    def open(self, address: str, login: Login) -> Host:
        doors = self

        class Door(ImageFolder):
            def check(self) -> None:
                doors.tried.append((address, login))
                if login.password != _RIGHT:
                    raise HostError("the password is wrong", hint="Give the right one.")

            def close(self) -> None:
                doors.closed += 1

        return Door(Path(address))


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> Doors:
    made = Doors()
    kind = Kind(made.open, Platform.VMWARE, HostType.ESXI, ManagedServerType.ESXI, about="a door")
    monkeypatch.setattr(hosts, "_KINDS", {**hosts._KINDS, "door": kind})
    return made


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock, doors: Doors) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def client(here: Site) -> NativeClient:
    return NativeClient(native.create(here.engine)).log_on("administrator", PASSWORD)


@pytest.fixture
def host(client: NativeClient, tmp_path: Path) -> dict[str, Any]:
    asked = {"name": "door", "kind": "door", "address": str(tmp_path), "thumbprint": "aa"}
    answer = client.post("/hosts", {**asked, "username": "clerk", "password": _RIGHT})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _patch(client: NativeClient, host: dict[str, Any], **changes: str) -> Any:
    return client.request("PATCH", f"/hosts/{host['id']}", json=changes)


def test_kinds_say_what_they_need(client: NativeClient) -> None:
    kinds = {kind["kind"]: kind for kind in client.get("/host-kinds").json()["items"]}
    assert kinds["door"] == {"kind": "door", "about": "a door", "logon": True}
    assert kinds["image-folder"]["logon"] is False


def test_host_is_renamed_without_its_password(
    client: NativeClient, host: dict[str, Any], doors: Doors
) -> None:
    tried = len(doors.tried)
    assert _patch(client, host, name="gate").json()["name"] == "gate"
    assert len(doors.tried) == tried
    assert client.get(f"/hosts/{host['id']}").json() == {**host, "name": "gate"}
    taken = client.post(
        "/hosts", {"name": "other", "kind": "door", "address": "/", "password": _RIGHT, "username": "x"}
    )
    assert _patch(client, taken.json(), name="gate").status_code == 409


def test_kept_password_is_sent_nowhere_else(
    client: NativeClient, host: dict[str, Any], doors: Doors, tmp_path: Path
) -> None:
    tried = len(doors.tried)
    for changes in (
        {"address": "/elsewhere"},
        {"username": "thief"},
        {"thumbprint": "bb"},
        {"thumbprint": ""},
    ):
        answer = _patch(client, host, **changes)
        assert (answer.status_code, "password" in answer.json()["error"]["message"]) == (400, True)
    assert len(doors.tried) == tried
    assert client.get(f"/hosts/{host['id']}").json() == host


def test_new_logon_is_tried_before_it_is_kept(
    here: Site, client: NativeClient, host: dict[str, Any], doors: Doors, tmp_path: Path
) -> None:
    opened = here.engine.host(_id(host))
    refused = _patch(client, host, username="boss", password="wrong")
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, "the password is wrong")
    assert client.get(f"/hosts/{host['id']}").json() == host
    (tmp_path / "new").mkdir()
    changed = _patch(
        client, host, address=str(tmp_path / "new"), username="boss", password=_RIGHT, thumbprint="bb"
    )
    assert changed.json() == {
        **host,
        "address": str(tmp_path / "new"),
        "username": "boss",
        "thumbprint": "bb",
    }
    assert doors.tried[-1] == (str(tmp_path / "new"), Login("boss", _RIGHT, "bb"))
    closed = doors.closed
    assert here.engine.host(_id(host)) is not opened
    assert doors.closed == closed, "a flow may still be reading from the host as it was"
    with here.database.read() as connection:
        kept = connection.exec_driver_sql("SELECT username FROM credentials").scalars().all()
    assert list(kept) == ["boss"]


def test_logon_is_taken_away(here: Site, client: NativeClient, host: dict[str, Any]) -> None:
    assert _patch(client, host, username="").status_code == 422  # nobody gets in without
    assert client.get(f"/hosts/{host['id']}").json()["username"] == "clerk"
    assert client.delete(f"/hosts/{host['id']}").status_code == 204
    assert _patch(client, host, name="x").status_code == 404


def _id(host: dict[str, Any]) -> UUID:
    return UUID(host["id"])
