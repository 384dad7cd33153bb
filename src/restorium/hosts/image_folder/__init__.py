"""A folder of disk images, each VM described by a file ``<ref>.vm.toml``. docs/image-folder.md is for users.

Invariants: nothing outside the folder is read or written, whatever a description says. A restore works under
hidden names that begin with ``.restorium-<attempt>.`` until it is finalised, and overwrites nothing of
another origin.

What may be half done after a crash: hidden files, and while a restore is finalised some disks under their
final names. A plan written before the first of those moves says how to go on, or back; the VM's description
is the last to move, and its ``restored_by`` says that the restore is done.
"""

from restorium.hosts.image_folder.host import ImageFolder

__all__ = ["ImageFolder"]
