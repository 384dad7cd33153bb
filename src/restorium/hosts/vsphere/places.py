"""Where on a vCenter Server a restored VM goes: datacenter, datastore, folder, resource pool, networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from restorium.hosts.interface import VmDescription
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.describing import KIND
from restorium.hosts.vsphere.inventory import collect, datacenter_of, read
from restorium.vocabulary.errors import HostError, InvalidInput, VmNotFound
from restorium.vocabulary.restore import Placement

_OF_DATASTORES = ("summary.accessible", "summary.freeSpace", "summary.type")
_WITHOUT_FILES = {"vsan", "vsanD", "VVOL"}


@dataclass(frozen=True, slots=True)
class Places:
    """datacenter, folder, pool and datastore_ref: morefs. datacenter_path: in the inventory. datastore: its name.

    takes_files: whether disks are files there, which can be written and read as such.
    """

    datacenter: str
    datacenter_path: str
    folder: str
    pool: str
    datastore: str
    datastore_ref: str
    takes_files: bool
    networks: Sequence[str]


def find(
    connection: Connection, description: VmDescription, original: str | None, placement: Placement
) -> Places:
    """Where the placement says, else where the VM is or was, else where there is most room.

    original: moref of the VM that is to be replaced. Raises InvalidInput for what the placement names and is not
    there, HostError where there is no place at all.
    """
    own = description.settings if description.kind == KIND else {}
    pools = dict(collect(connection, vim.ResourcePool, ["name", "owner"]))
    folders = dict(collect(connection, vim.Folder, ["name", "childType"]))
    datastores = dict(collect(connection, vim.Datastore, ["name", *_OF_DATASTORES]))
    now: dict[str, Any] = {}
    if original is not None:
        now = read(
            connection, vim.VirtualMachine, original, "parent", "resourcePool", "config.files.vmPathName"
        )
    pool = _id(now.get("resourcePool")) or own.get("pool")
    folder = _id(now.get("parent")) or own.get("folder")
    datastore = str(now.get("config.files.vmPathName", "")).removeprefix("[").partition("] ")[0] or own.get(
        "datastore"
    )
    if placement.container is not None:
        chosen = _named(placement.container, pools) or _named(placement.container, folders)
        if chosen is None:
            raise _unknown(connection, "folder or resource pool", placement.container)
        pool, folder = (chosen, folder) if chosen in pools else (pool, chosen)
    if placement.storage is not None and _named(placement.storage, datastores) is None:
        raise _unknown(connection, "datastore", placement.storage)
    roomy = sorted(
        (ref for ref, found in datastores.items() if found.get("summary.accessible", True)),
        key=lambda ref: -datastores[ref].get("summary.freeSpace", 0),
    )
    datastore_ref = _named(placement.storage or datastore or "", datastores) or next(iter(roomy), None)
    pool = pool if pool in pools else next(iter(pools), None)
    if datastore_ref is None or pool is None:
        raise HostError(f"{connection.address.host} has no datastore or no host where a VM could be made")
    datacenter, path = datacenter_of(connection, vim.Datastore, datastore_ref)
    if folder not in folders:
        folder = read(connection, vim.Datacenter, datacenter, "vmFolder")["vmFolder"]._moId
    networks = sorted(found["name"] for _, found in collect(connection, vim.Network, ["name"]))
    missing = [name for name in placement.networks.values() if name not in networks]
    if missing:
        raise _unknown(connection, "network", missing[0])
    chosen_store = datastores[datastore_ref]
    return Places(
        datacenter,
        path,
        folder,
        pool,
        chosen_store["name"],
        datastore_ref,
        chosen_store.get("summary.type") not in _WITHOUT_FILES,
        networks,
    )


def without_files(connection: Connection) -> set[str]:
    """The names of the datastores on which disks are no files."""
    found = [properties for _, properties in collect(connection, vim.Datastore, ["name", "summary.type"])]
    return {each["name"] for each in found if each.get("summary.type") in _WITHOUT_FILES}


def exists(connection: Connection, moref: str) -> bool:
    """Whether there is such a VM."""
    try:
        return bool(read(connection, vim.VirtualMachine, moref, "name"))
    except VmNotFound:
        return False


def _named(text: str, objects: dict[str, dict[str, Any]]) -> str | None:
    """The moref of what has that moref or name."""
    if text in objects:
        return text
    return next((ref for ref, found in objects.items() if text and found.get("name") == text), None)


def _id(reference: Any) -> str | None:
    return None if reference is None else str(reference._moId)


def _unknown(connection: Connection, kind: str, name: str) -> InvalidInput:
    return InvalidInput(
        f"{connection.address.host} has no {kind} {name!r}", hint="Name it as vCenter does, or by its id."
    )
