"""Removing a VM that a restore made, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from restorium.hosts.image_folder.folder import check_attempt, explained
from restorium.hosts.libvirt.domains import Domain, parse, read_domain
from restorium.hosts.libvirt.marks import read_mark
from restorium.hosts.libvirt.places import images_of_others, pool_folders
from restorium.hosts.libvirt.virsh import Virsh
from restorium.vocabulary.errors import Conflict, VmNotFound

WITH_ALL = ("--managed-save", "--checkpoints-metadata", "--snapshots-metadata", "--nvram")


def remove_restored(virsh: Virsh, ref: str, attempt: str) -> None:
    """See Host.remove_restored. The definition goes last: while it is there, the images can be found again."""
    domain: Domain | None = None
    with suppress(VmNotFound):
        domain = read_domain(virsh, ref)
    folders = {*pool_folders(virsh)}
    with explained(f"removing what was restored to {ref}"):
        if domain is not None:
            mark = read_mark(parse(domain.xml))
            if mark is None or mark.attempt != attempt:
                raise Conflict(
                    f"{domain.name!r} was not made by the restore {attempt}",
                    hint="Remove what is left of that restore by hand.",
                )
            if domain.active:
                virsh.run("destroy", str(domain.uuid))
            for file in mark.files.values():
                file.unlink(missing_ok=True)
                folders.add(file.parent)
            virsh.run("undefine", str(domain.uuid), *WITH_ALL)
        folders.update(path.parent for path in images_of_others(virsh))
        for folder in folders:
            for left in folder.glob(f".restorium-{check_attempt(attempt)}.*"):
                left.unlink(missing_ok=True)
