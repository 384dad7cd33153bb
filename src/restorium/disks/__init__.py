"""Block devices: the extents of a disk, readers of image formats, and writers that keep holes as holes.

Invariants: offsets and lengths are bytes; a reader's size never changes while it is open; extents are in
order, without gap or overlap, and cover the disk. A crash can leave a written image incomplete, never one
that claims more than was flushed: writers are given a temporary name by their caller, who renames at the end.
"""

from restorium.disks.formats import (
    FORMATS,
    WRITTEN_FORMATS,
    create_disk,
    detect_format,
    open_disk,
    reopen_disk,
)

__all__ = ["FORMATS", "WRITTEN_FORMATS", "create_disk", "detect_format", "open_disk", "reopen_disk"]
