"""vhdx images.

Read: fixed and dynamic ones that were closed cleanly. Written: dynamic ones with blocks of 1 MiB, as Hyper-V and QEMU
make them. All maps are laid down when the image is made; what names it an image is written last, so that a crash
before leaves a file that is none.
"""

from restorium.disks.vhdx.reader import VhdxReader
from restorium.disks.vhdx.writer import create_vhdx, reopen_vhdx

__all__ = ["VhdxReader", "create_vhdx", "reopen_vhdx"]
