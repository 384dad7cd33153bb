"""VMware vSphere: VMs of a vCenter Server, by pyVmomi, datastore files and leases. docs/platforms.md is for users.

Invariants: nothing is sent to a server whose certificate is not trusted. A VM is read from a snapshot of ours, which is
removed at the end of the reading; a running VM runs on.

What may be half done after a crash: a snapshot ``restorium-backup-<chain>``, removed by the next backup of the chain,
and a folder ``restorium-<attempt>`` in a datastore or VMs ``restorium-<attempt>-disk<n>-<random>``, which the restore
that made them goes on with or removes.
"""

from restorium.hosts.vsphere.host import Vsphere

__all__ = ["Vsphere"]
