"""qcow2 images, versions 2 and 3.

Read: allocated, zero and compressed (zlib, zstd) clusters, internal snapshots passed over. Not read, and said
so: backing files, encryption, external data files, extended L2 entries. An image is input from outside: every
offset is held against the file before it is used, and memory does not grow with the disk.

Written: version 3 with clusters of 64 KiB. All metadata is laid down when the image is made, so that writes
need no allocation: they may come in any order, from many threads, and go on after a crash. The header is
written last; a crash before leaves a file that is no image.
"""

from restorium.disks.qcow2.reader import Qcow2Reader
from restorium.disks.qcow2.writer import Qcow2Writer, create_qcow2, reopen_qcow2

__all__ = ["Qcow2Reader", "Qcow2Writer", "create_qcow2", "reopen_qcow2"]
