"""Microsoft Hyper-V hosts, by PowerShell over WinRM and by their disks' files over SMB. docs/platforms.md is for users.

Invariants: a VM is read from a checkpoint that is always removed. A restore writes into a folder of its own, and shows
no VM under its final name before its disks are verified; over the original, nothing of it changes before that.

What may be half done after a crash: a checkpoint, which the next backup removes; a restore's folder with, while it is
finalised, a VM under a temporary name, or an original whose disks are partly exchanged. A plan in the folder, written
before the first exchange, says how to go on, or back.
"""

from restorium.hosts.hyperv.host import HyperV

__all__ = ["HyperV"]
