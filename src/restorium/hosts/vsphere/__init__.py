"""VMware vSphere: VMs of a vCenter Server, by pyVmomi and the files of its datastores. docs/platforms.md is for users.

Invariants: nothing is sent to a server whose certificate is not trusted. A VM is read from a snapshot of ours, which is
removed at the end of the reading; a running VM runs on.

What may be half done after a crash: a snapshot ``restorium-backup-<chain>``, removed by the next backup of the chain,
and a folder ``restorium-<attempt>`` in a datastore, which the restore that made it goes on with or removes.
"""

from restorium.hosts.vsphere.host import Vsphere

__all__ = ["Vsphere"]
