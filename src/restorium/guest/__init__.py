"""File systems inside a disk's bytes, read without a kernel mount and without root.

``open_guest`` looks through partition tables and LVM for ext2-4, XFS, Btrfs, NTFS and FAT. What it gives lists
folders, tells of entries, reads files and packs folders. Nothing here writes.

Invariants: whatever the bytes say, no reader crashes, hangs or takes memory without bound. Every operation has a
bound on what it reads, folders and paths have one on their size, and whatever the readers below make of damage comes
out as DataCorrupt. Names are text that can stand in a path; links are shown and never followed; devices, pipes and
sockets have no content.

The formats are read by dissect, which keeps a place in its file: one thread reads at a time.
"""

from restorium.guest.archive import tar
from restorium.guest.download import BINARY, TAR, Download, download
from restorium.guest.entries import Entry, Kind
from restorium.guest.source import RandomAccess
from restorium.guest.view import Content, Guest, open_guest

__all__ = [
    "BINARY",
    "TAR",
    "Content",
    "Download",
    "Entry",
    "Guest",
    "Kind",
    "RandomAccess",
    "download",
    "open_guest",
    "tar",
]
