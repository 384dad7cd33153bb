"""Hosts: hypervisors and image folders, and the VMs on them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import hosts
from restorium.flows import hosts as flows
from restorium.flows import inventory
from restorium.hosts.interface import Login
from restorium.native.exchange import Items, show
from restorium.native.lists import BY_NAME, members, page_of
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.roles import ADMINISTRATORS, MONITORS


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


class Host(msgspec.Struct):
    id: UUID
    name: str
    kind: str
    address: str
    thumbprint: str | None
    created_at: datetime


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
    with call.engine.database.read() as connection:
        return show(hosts.get(connection, host_id), Host)


def _remove(call: Call) -> None:
    flows.remove(call.engine, call.id)


def _list(call: Call) -> Page[Host]:
    """By name."""
    return page_of(call, hosts.listing, BY_NAME, members(Host))


def _list_vms(call: Call) -> Items[Vm]:
    return Items([show(vm, Vm) for vm in inventory.list_vms(call.engine, call.id)])


OPERATIONS = (
    Operation("GET", "/hosts", _list, MONITORS, query=BY_NAME.query),
    Operation("DELETE", "/hosts/{id}", _remove, ADMINISTRATORS, status=204),
    Operation("POST", "/hosts", _add, ADMINISTRATORS, body=NewHost, status=201),
    Operation("GET", "/hosts/{id}/vms", _list_vms, ADMINISTRATORS),
)
