"""vmdk images.

Read: sparse, stream-optimised and flat, with a descriptor inside or beside. Written: one sparse file with its
descriptor inside and grains of 64 KiB, as VMware Workstation and QEMU make it. All maps are laid down when the image
is made; the header is written last, so that a crash before leaves a file that is no image.
"""

from restorium.disks.vmdk.reader import VmdkReader
from restorium.disks.vmdk.writer import create_vmdk, reopen_vmdk

__all__ = ["VmdkReader", "create_vmdk", "reopen_vmdk"]
