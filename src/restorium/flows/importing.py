"""Importing image files as a restore point: a backup of a VM that is on no host yet.

It runs as a job session like any other backup. The VM is taken for one of the host that it is to be restored to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from restorium.catalog import repositories
from restorium.catalog.jobs import JobVm
from restorium.flows import backup
from restorium.flows.engine import Engine
from restorium.flows.inventory import list_vms
from restorium.hosts.image_files import open_images
from restorium.vocabulary.errors import Conflict, InvalidInput
from restorium.vocabulary.restore import Caller


def start(
    engine: Engine, repository_id: UUID, host_id: UUID, name: str, files: Sequence[str], caller: Caller
) -> UUID:
    """Read image files of the server's machine into a repository; gives the id of the session, at once.

    name: of the VM, and its ref on the host, which must have none of that name. files: absolute paths, one a disk.
    Raises InvalidInput, Conflict, NotFound, DiskMissing, DiskDamaged, Unsupported, HostError.
    """
    if not name.strip():
        raise InvalidInput("the VM has no name")
    if not files:
        raise InvalidInput("no image file is named", hint="Name one file for each disk of the VM.")
    relative = [file for file in files if not Path(file).is_absolute()]
    if relative:
        raise InvalidInput(
            f"{relative[0]!r} is no absolute path", hint="Name files by their whole path on the server."
        )
    with engine.database.read() as connection:
        repositories.get(connection, repository_id)
    if any(name in (vm.ref, vm.name) for vm in list_vms(engine, host_id)):
        raise Conflict(f"the host has a VM {name!r} already", hint="Import under another name.")
    with open_images(name, [Path(file) for file in files]):
        pass  # what is wrong with them is told now, not by the session
    return backup.start_import(engine, repository_id, JobVm(host_id, name, name), files, caller)
