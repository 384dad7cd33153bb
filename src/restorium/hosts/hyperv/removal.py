"""Removing a VM that a restore made, and nothing else."""

from __future__ import annotations

from pathlib import PureWindowsPath

from restorium.hosts.hyperv import changing, pipelines
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.machines import OFF, machine, machines
from restorium.hosts.hyperv.names import folder_of, is_of_a_restore, temporary_name
from restorium.hosts.image_folder.folder import check_attempt
from restorium.vocabulary.errors import Conflict, VmNotFound


def remove_restored(connection: Connection, base: str, ref: str, attempt: str) -> None:
    """See Host.remove_restored. base: where restores get their folders unless they are told another place."""
    folders = {folder_of(base, check_attempt(attempt))}
    try:
        vm = machine(connection, ref)
    except VmNotFound:
        vm = None
    if vm is not None:
        if vm.restored_by != attempt:
            raise Conflict(
                f"the VM {vm.name} was not made by the restore {attempt}",
                hint="Remove what is left of that restore by hand.",
            )
        for found in connection.ask(pipelines.drives(vm.ref)):
            folder = PureWindowsPath(str(found["Path"])).parent
            if folder.name == temporary_name(attempt):
                folders.add(str(folder))
        if vm.state != OFF:
            connection.ask(changing.turn_off(vm.ref))
        connection.ask(changing.remove_vm(vm.ref))
    for left in machines(connection):
        if left.name == temporary_name(attempt):
            connection.ask(changing.remove_vm(left.ref))
    for folder_path in sorted(folders):
        remove_folder(connection, folder_path)


def remove_folder(connection: Connection, folder: str) -> None:
    """One that is gone is no error."""
    connection.ask(changing.remove_path(folder))


def remove_empty(connection: Connection, folder: str) -> None:
    """The folder of an earlier restore of which nothing is left."""
    if is_of_a_restore(folder) and not connection.ask(pipelines.inside(folder)):
        remove_folder(connection, folder)
