"""Removing a VM that a restore made, and nothing else."""

from __future__ import annotations

from pathlib import Path

from restorium.hosts.image_folder.descriptions import SUFFIX, read_description
from restorium.hosts.image_folder.folder import check_attempt, check_ref, explained, flush, inside
from restorium.vocabulary.errors import Conflict, VmNotFound


def remove_restored(folder: Path, ref: str, attempt: str) -> None:
    """See Host.remove_restored. The description goes last: while it is there, the disks can be found again."""
    path = folder / f"{check_ref(ref)}{SUFFIX}"
    with explained(f"removing what was restored to {path}"):
        try:
            description = read_description(path)
        except VmNotFound:
            description = None
        if description is not None:
            if description.restored_by != attempt:
                raise Conflict(
                    f"{path} was not made by the restore {attempt}",
                    hint="Remove what is left of that restore by hand.",
                )
            for disk in description.disks:
                inside(folder, disk.file).unlink(missing_ok=True)
            flush(folder)
            path.unlink()
        for left in folder.glob(f".restorium-{check_attempt(attempt)}.*"):
            left.unlink(missing_ok=True)
        flush(folder)
