"""VMware Cloud Director: VMs in vApps of the VDCs of organisations, whose data lies in the vCenters behind it.

Cloud Director says what there is, powers VMs and takes in what was restored; the disks are read and written through
the hosts of this installation that are its vCenters. A VM is restored in its vCenter under a name of the restore's own,
where tenants do not see it, and Cloud Director takes it over at the end. After a crash there may be such a VM in the
vCenter, or in a vApp under that name; the restore finds either by its attempt, goes on with it or removes it.
"""

from restorium.hosts.cloud_director.host import CloudDirector

__all__ = ["CloudDirector"]
