"""VMs that carry one disk each while it is restored by an import. The inventory shows none, and none is started.

A carrier notes where its disk is once that is there to its end; one that notes nothing is left of a failed import.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import structlog
from pyVmomi import vim

from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.disks import label, remove_disk
from restorium.hosts.vsphere.inventory import collect, datacenter_of, disks_of, extra_of, read, read_extra
from restorium.vocabulary.errors import HostError

_log = structlog.get_logger(__name__)

DISK = "restorium.disk"
"""Extra configuration of a carrier: the datastore path of its disk, which is there to its end."""

_NAME = re.compile(r"restorium-[A-Za-z0-9_-]+-disk[0-9]+-[0-9a-f]{8}")


def new_name(attempt: str, number: int) -> str:
    """Of a carrier for a disk of a restore, by its number in the VM: another one each time it is begun."""
    return f"{label(attempt)}-disk{number}-{secrets.token_hex(4)}"


def is_carrier(name: str) -> bool:
    """Whether a VM of that name is one."""
    return _NAME.fullmatch(name) is not None


def of(connection: Connection, attempt: str, number: int | None = None) -> Iterator[str]:
    """The morefs of those of one disk of a restore, or of all of its disks."""
    beginning = f"{label(attempt)}-disk{'' if number is None else f'{number}-'}"
    for ref, found in list(collect(connection, vim.VirtualMachine, ["name"])):
        if found["name"].startswith(beginning) and is_carrier(found["name"]):
            yield ref


def disk_of(connection: Connection, ref: str) -> str | None:
    """The datastore path of its disk, if that is there to its end."""
    return read_extra(connection, ref, DISK)


def destroy(connection: Connection, attempt: str) -> None:
    """All of a restore, and no disk that they do not have any more."""
    for ref in of(connection, attempt):
        _destroy(connection, ref, disk_of(connection, ref) is not None)


def remove(connection: Connection, attempt: str, number: int | None = None) -> None:
    """Those of one disk, or all, with their disks, even such as were taken out of them for a VM that is not there."""
    for ref in of(connection, attempt, number):
        found = read(connection, vim.VirtualMachine, ref, "config.extraConfig", "config.hardware.device")
        disk = extra_of(found.get("config.extraConfig"), DISK)
        if disk is not None and not disks_of(found.get("config.hardware.device") or ()):
            datacenter, _ = datacenter_of(connection, vim.VirtualMachine, ref)
            remove_disk(connection, connection.object(vim.Datacenter, datacenter), disk)
        _destroy(connection, ref, disk is not None)


def _destroy(connection: Connection, ref: str, whole: bool) -> None:
    """whole: that its import was completed. If not, the server removes it itself, with the lease that nobody renews."""
    vm = connection.object(vim.VirtualMachine, ref)
    try:
        connection.task(lambda _: vm.Destroy_Task(), what=f"removing {ref}, which carried a disk")
    except HostError as error:
        if whole:
            raise
        _log.warning("what an import left is removed by the server later", vm=ref, reason=error.message)
