"""VMs of plain QEMU: a folder as that of an image folder, whose VMs may run and answer on a QMP socket.

Invariants: those of an image folder; a VM that runs is never paused, and all of its disks are read as they were at
one moment. What Restorium makes in a QEMU has names that begin with ``restorium-``.

What may be half done after a crash: exports, jobs, nodes and a bitmap in a running QEMU, and hidden files
``.restorium-backup-*``; the next backup of the VM removes them before it begins. A lock on the VM's description, which
ends with the process, says that they are somebody's.
"""

from restorium.hosts.qemu.host import QemuFolder
from restorium.hosts.qemu.machine import PROGRAM
from restorium.hosts.qemu.qmp import NotRunning, Qmp

__all__ = ["PROGRAM", "NotRunning", "Qmp", "QemuFolder"]
