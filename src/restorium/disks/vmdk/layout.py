"""What all sparse vmdk files have in common. Source: VMware Virtual Disk Format 5.0."""

from __future__ import annotations

import secrets
import struct

from restorium.disks.blocks import SECTOR

HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
"""Magic, version, flags, capacity, grain size, descriptor and its length, entries of a table, spare directory,
directory, first grain, unclean, line ends, compression; places and lengths in sectors.
"""
MAGIC = b"KDMV"
NEWLINES = 1
LINE_ENDS = b"\n \r\n"
GRAIN_SECTORS = 128
GRAIN = GRAIN_SECTORS * SECTOR
ENTRIES = 512
"""Grains that one table maps."""
TABLE_SECTORS = ENTRIES * 4 // SECTOR
MOST_SECTORS = 1 << 32
"""That a file has addresses for."""

_DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={id}
parentCID=ffffffff
createType="{kind}"

# Extent description
RW {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "{hardware}"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.adapterType = "lsilogic"
"""


def descriptor(size: int, kind: str, name: str, *, hardware: int) -> bytes:
    """Of a disk of ``size`` bytes in one file called ``name``. hardware: the version that first knew the kind."""
    text = _DESCRIPTOR.format(
        id=secrets.token_hex(4),
        kind=kind,
        sectors=size // SECTOR,
        name="".join(letter for letter in name if letter.isprintable() and letter != '"')[:255],
        hardware=hardware,
        cylinders=min(size // (SECTOR * 63 * 255), 65535),
    )
    return text.encode()
