"""Disks of a restore while it runs, in whichever way their datastore takes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from pyVmomi import vim

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.image_folder.folder import check_attempt
from restorium.hosts.interface import DiskInfo
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.inventory import collect
from restorium.hosts.vsphere.mapped import CAPACITY_UNIT
from restorium.vocabulary.errors import HostError

_log = structlog.get_logger(__name__)

_OURS = "restorium-"


class DisksInTheMaking(Protocol):
    """Disks of one restore, by their numbers in the VM, which no VM that people see has yet."""

    def probe(self) -> None:
        """Raise unless disks can be made there; leaves nothing."""
        ...

    def create(self, number: int, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        """See RestoreTarget.create_disk."""
        ...

    def open(self, number: int, disk: DiskInfo) -> DiskReader:
        """What was written. Raises DiskMissing."""
        ...

    def check_written(self, number: int, disk: DiskInfo) -> None:
        """Raises HostError unless the disk is there to its end."""
        ...

    def hand_over(self, numbers: Collection[int]) -> dict[int, str]:
        """The datastore paths of these disks, which a VM can be given now."""
        ...

    def vmx(self, name: str) -> str:
        """The datastore path where the configuration of a VM of that name goes, which is made of the disks."""
        ...

    def tidy(self) -> None:
        """Remove what is left when the VM stands."""
        ...

    def remove(self) -> None:
        """Remove everything. The VM does not stand, or stands no more."""
        ...


def label(attempt: str) -> str:
    """What a restore's folders and VMs in the making are called, or begin with."""
    return f"{_OURS}{check_attempt(attempt)}"


def kib(size: int) -> int:
    """That a disk of ``size`` bytes needs."""
    return -(-size // CAPACITY_UNIT)


def remove_file(connection: Connection, datacenter: Any, name: str) -> None:
    """A file, or a folder with what is in it; nothing happens if there is none."""
    with suppress(_Gone):
        _remove(
            connection,
            lambda content: content.fileManager.DeleteDatastoreFile_Task(name=name, datacenter=datacenter),
            name,
        )


def remove_disk(connection: Connection, datacenter: Any, name: str) -> None:
    """A disk with all its files; nothing happens if there is none."""
    with suppress(_Gone):
        _remove(
            connection,
            lambda content: content.virtualDiskManager.DeleteVirtualDisk_Task(
                name=name, datacenter=datacenter
            ),
            name,
        )


def remove_empty_folder(connection: Connection, datacenter: Any, disk: str) -> None:
    """The folder in which a disk was, if an earlier restore made it and nothing is left in it."""
    store, _, path = disk.removeprefix("[").partition("] ")
    folder, slash, _ = path.partition("/")
    if not slash or not folder.startswith(_OURS):
        return
    stores = collect(connection, vim.Datastore, ["name", "browser"])
    browser = next((found["browser"] for _, found in stores if found["name"] == store), None)
    if browser is None:
        return
    name = f"[{store}] {folder}"
    try:
        found = connection.task(
            lambda _: browser.SearchDatastore_Task(datastorePath=name), what=f"listing {name}"
        )
        if not found.file:
            remove_file(connection, datacenter, name)
    except HostError as error:
        # Somebody will wonder at an empty folder, and nothing else is the matter.
        _log.warning("an empty folder could not be removed", folder=name, reason=error.message)


class _Gone(Exception):
    """There is no such file. vSphere says CannotDeleteFile of some."""


def _remove(connection: Connection, start: Any, name: str) -> None:
    try:
        connection.task(start, what=f"removing {name}")
    except HostError as error:
        if isinstance(error.__cause__, vim.fault.FileNotFound | vim.fault.CannotDeleteFile):
            raise _Gone from error
        raise
