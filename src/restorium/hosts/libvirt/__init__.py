"""VMs of a libvirt on this machine that run under QEMU, spoken to with virsh. docs/platforms.md is for users.

Invariants: a running VM is read through a backup job of libvirt's, never stopped or paused; one that is shut off is
kept from starting while it is read. A VM's ref is its UUID. A restored VM is not defined before its images are whole,
but for one that runs from its restore point, whose mark says so; what a restore made is named in the VM's metadata.

What may be half done after a crash: a backup job with its scratch files, ended when the VM is opened next; checkpoints
that no restore point names, removed then; hidden images of a restore beside those of the VMs, and while it is finalised
some under their final names, with a plan that leads on or back. That, too, a VM that runs from its restore point has.
"""

from restorium.hosts.libvirt.host import Libvirt

__all__ = ["Libvirt"]
