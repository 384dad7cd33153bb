"""Hosts: hypervisors and image folders, and the VMs on them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import hosts, points
from restorium.catalog.visibility import WHOLE_HOST, may_see
from restorium.flows import hosts as flows
from restorium.flows import inventory
from restorium.hosts import kinds
from restorium.hosts.interface import Login
from restorium.native.exchange import Items, show
from restorium.native.lists import BY_NAME, members, page_of
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.roles import ADMINISTRATORS, MONITORS, RESTORERS
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.ids import parse_guid


class NewHost(msgspec.Struct, forbid_unknown_fields=True):
    """``kind`` and what its ``address`` is: docs/platforms.md. The address of an ``image-folder`` is a folder.

    ``thumbprint``: SHA-256 in hex of the host's certificate, which is trusted then in place of a verified one.
    """

    name: str
    kind: str
    address: str
    username: str | None = None
    password: str | None = None
    thumbprint: str | None = None


class HostChanges(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change of a host; what is null or absent stays. An empty ``thumbprint`` takes it away.

    The password is needed where the address, the user name or the thumbprint of a host with a logon changes.
    """

    name: str | None = None
    address: str | None = None
    username: str | None = None
    password: str | None = None
    thumbprint: str | None = None


class HostKind(msgspec.Struct):
    """``about``: what the address of such a host is. ``logon``: whether it has a user name and a password."""

    kind: str
    about: str
    logon: bool


class Host(msgspec.Struct):
    id: UUID
    name: str
    kind: str
    address: str
    username: str | None
    thumbprint: str | None
    created_at: datetime


class RestoreHost(msgspec.Struct):
    """A host that the caller may restore to; how it is reached is told to nobody.

    ``places``: a restore may name storage, networks and container there. ``instant``: a VM can run from its restore
    point there at once.
    """

    id: UUID
    name: str
    kind: str
    places: bool
    instant: bool


class Disk(msgspec.Struct):
    """``size`` is in bytes, as the VM sees it."""

    key: str
    size: int
    format: str


class Vm(msgspec.Struct):
    """``ref`` is the host's own name of the VM."""

    ref: str
    name: str
    disks: list[Disk]


def _add(call: Call) -> Host:
    new: NewHost = call.body
    login = Login(new.username, new.password, new.thumbprint)
    host_id = flows.add(call.engine, new.kind, new.name, new.address, login)
    return _shown(call, host_id)


def _get(call: Call) -> Host:
    return _shown(call, call.id)


def _change(call: Call) -> Host:
    """The host is reached and read as it will be before anything is kept."""
    asked: HostChanges = call.body
    changes = flows.Changes(asked.name, asked.address, asked.username, asked.password, asked.thumbprint)
    flows.change(call.engine, call.id, changes)
    return _shown(call, call.id)


def _shown(call: Call, host_id: UUID) -> Host:
    with call.engine.database.read() as connection:
        row = hosts.listing.one(connection, host_id, call.visible)
    if row is None:
        raise NotFound(f"there is no host {host_id}")
    return show(row, Host)


def _remove(call: Call) -> None:
    flows.remove(call.engine, call.id)


def _list(call: Call) -> Page[Host]:
    """By name."""
    return page_of(call, hosts.listing, BY_NAME, members(Host))


def _list_vms(call: Call) -> Items[Vm]:
    return Items([show(vm, Vm) for vm in inventory.list_vms(call.engine, call.id)])


def _to_restore_to(call: Call) -> Items[RestoreHost]:
    """Hosts that the caller may restore to, by name: those of which it may restore every VM.

    With ``restore_point``, the host of that restore point's VM besides.
    """
    text = call.request.query_params.get("restore_point")
    point_id = None if text is None else parse_guid(text)
    with call.engine.database.read() as connection:
        point = None if point_id is None else points.vm_listing.one(connection, point_id, call.visible)
        if point_id is not None and point is None:
            raise NotFound(f"there is no restore point {point_id}")
        own = None if point is None else point.host_id
        found = [
            row
            for row in hosts.list_all(connection)
            if row.id == own or may_see(connection, call.visible, row.id, WHOLE_HOST)
        ]
    known = kinds()
    return Items(
        [
            RestoreHost(row.id, row.name, row.kind, known[row.kind].places, known[row.kind].instant)
            for row in found
        ]
    )


def _kinds(call: Call) -> Items[HostKind]:
    """What hosts can be."""
    return Items([HostKind(name, kind.about, kind.logon) for name, kind in kinds().items()])


OPERATIONS = (
    Operation("GET", "/restore-hosts", _to_restore_to, RESTORERS, query=("restore_point",)),
    Operation("GET", "/host-kinds", _kinds, ADMINISTRATORS),
    Operation("GET", "/hosts", _list, MONITORS, query=BY_NAME.query),
    Operation("GET", "/hosts/{id}", _get, MONITORS),
    Operation("PATCH", "/hosts/{id}", _change, ADMINISTRATORS, body=HostChanges),
    Operation("DELETE", "/hosts/{id}", _remove, ADMINISTRATORS, status=204),
    Operation("POST", "/hosts", _add, ADMINISTRATORS, body=NewHost, status=201),
    Operation("GET", "/hosts/{id}/vms", _list_vms, ADMINISTRATORS),
)
