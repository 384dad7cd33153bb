"""Changed block tracking (CBT), where the server has it."""

from __future__ import annotations

from typing import Any

import structlog
from pyVmomi import vim, vmodl

from restorium.disks.interface import Extent
from restorium.hosts.interface import Tracked
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.inventory import DiskPlace, read
from restorium.vocabulary.errors import HostError

_log = structlog.get_logger(__name__)

_ALL = "*"
"""Stands in place of a change id for all that is allocated."""


def switch_on(connection: Connection, ref: str, name: str) -> None:
    """Have the server track the VM from its next snapshot on, if it can. That it cannot is no error."""
    found = read(
        connection,
        vim.VirtualMachine,
        ref,
        "capability.changeTrackingSupported",
        "config.changeTrackingEnabled",
        "snapshot",
    )
    if found.get("config.changeTrackingEnabled") or not found.get("capability.changeTrackingSupported"):
        return
    if found.get("snapshot"):
        return  # it would begin only when these are gone
    vm = connection.object(vim.VirtualMachine, ref)
    spec = vim.vm.ConfigSpec(changeTrackingEnabled=True)
    try:
        connection.task(lambda _: vm.ReconfigVM_Task(spec=spec), what=f"tracking the changes of {name}")
    except HostError as error:
        _log.warning("changes of a VM are not tracked", vm=name, reason=error.message)


def allocated(connection: Connection, ref: str, snapshot: str, place: DiskPlace) -> list[Extent] | None:
    """Where the disk has data, if the server tells."""
    if place.change_id is None:
        return None
    try:
        return _areas(connection, ref, snapshot, place, _ALL)
    except vmodl.MethodFault:
        return None


def tracked(connection: Connection, ref: str, snapshot: str, place: DiskPlace, since: str | None) -> Tracked:
    """What the server says of the disk's changes ``since`` a change id."""
    if place.change_id is None:
        why = None if since is None else "vCenter does not track its changes any more"
        return Tracked(None, None, why)
    if since is None:
        return Tracked(place.change_id)
    try:
        return Tracked(place.change_id, _areas(connection, ref, snapshot, place, since))
    except vmodl.MethodFault as fault:
        said = type(fault).__name__.rpartition(".")[2]
        return Tracked(place.change_id, None, f"vCenter knows no changes since {since} ({said})")


def _areas(connection: Connection, ref: str, snapshot: str, place: DiskPlace, since: str) -> list[Extent]:
    vm = connection.object(vim.VirtualMachine, ref)
    at, found = 0, []
    while at < place.info.size:

        def ask(_content: Any, start: int = at) -> Any:
            return vm.QueryChangedDiskAreas(
                snapshot=connection.object(vim.vm.Snapshot, snapshot),
                deviceKey=place.device.key,
                startOffset=start,
                changeId=since,
            )

        answer = connection.call(ask)
        found += [Extent(area.start, area.length, hole=False) for area in answer.changedArea or ()]
        end = answer.startOffset + answer.length
        if end <= at:
            break
        at = end
    return [_cut(extent, place.info.size) for extent in found if extent.offset < place.info.size]


def _cut(extent: Extent, size: int) -> Extent:
    return Extent(extent.offset, min(extent.length, size - extent.offset), extent.hole)
