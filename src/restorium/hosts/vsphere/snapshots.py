"""Holding a VM's disks still by a snapshot, which is removed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import structlog
from pyVmomi import vim

from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.inventory import read
from restorium.vocabulary.errors import HostError

_log = structlog.get_logger(__name__)

_PREFIX = "restorium-backup-"
_DESCRIPTION = "Made by Restorium to read the disks; it is removed when they are read."
_READING = "reading"

_held: set[str] = set()
_lock = Lock()


@contextmanager
def held_still(connection: Connection, moref: str, name: str, chain: str | None) -> Iterator[str]:
    """The moref of a snapshot of the VM. What a crash left of an earlier one of the chain is removed first."""
    label = f"{_PREFIX}{chain or _READING}"
    vm = connection.object(vim.VirtualMachine, moref)
    for left in _snapshots(connection, moref, label):
        _remove(connection, left, name)
    tools = read(connection, vim.VirtualMachine, moref, "guest.toolsRunningStatus")
    quiesce = tools.get("guest.toolsRunningStatus") == "guestToolsRunning"
    snapshot = _create(connection, vm, label, name, quiesce=quiesce)
    held = f"{connection.address.host} {snapshot}"
    with _lock:
        _held.add(held)
    try:
        yield snapshot
    finally:
        try:
            _remove(connection, snapshot, name)
        except HostError as error:
            # The backup is none the worse; the next one removes it.
            _log.warning("a snapshot could not be removed yet", vm=name, reason=error.message)
        with _lock:
            _held.discard(held)


def _create(connection: Connection, vm: Any, label: str, name: str, *, quiesce: bool) -> str:
    def start(_content: Any) -> Any:
        return vm.CreateSnapshot_Task(name=label, description=_DESCRIPTION, memory=False, quiesce=quiesce)

    try:
        made = connection.task(start, what=f"a snapshot of {name}")
    except HostError as error:
        if not quiesce:
            raise
        _log.warning("the guest could not be made quiescent", vm=name, reason=error.message)
        return _create(connection, vm, label, name, quiesce=False)
    moref: str = made._moId
    return moref


def _snapshots(connection: Connection, moref: str, label: str) -> list[str]:
    """Those of that name which nobody in this process reads from."""
    tree = read(connection, vim.VirtualMachine, moref, "snapshot").get("snapshot")
    found, nodes = [], list(tree.rootSnapshotList if tree else ())
    while nodes:
        node = nodes.pop()
        nodes += node.childSnapshotList or ()
        if node.name == label:
            found.append(node.snapshot._moId)
    with _lock:
        return [each for each in found if f"{connection.address.host} {each}" not in _held]


def _remove(connection: Connection, snapshot: str, name: str) -> None:
    found = connection.object(vim.vm.Snapshot, snapshot)
    connection.task(
        lambda _: found.RemoveSnapshot_Task(removeChildren=False, consolidate=True),
        what=f"removing a snapshot of {name}",
    )
