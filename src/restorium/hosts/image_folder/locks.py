"""Holding an image still by the locks that QEMU keeps on images too.

QEMU locks a byte for each thing it does with an image (100 and up) and one for each thing it lets no other do
(200 and up); writing is the second of them. A lock on byte 201 therefore says "no one may write": QEMU will
not start with the image. A lock of another on byte 101 says "I write".
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from restorium.disks.files import ImageFile
from restorium.vocabulary.errors import HostError

_WRITES_AT = 101
_NO_WRITES_AT = 201
_LOCK = struct.Struct("hhqqi4x")
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class HeldStill:
    """Keeps QEMU from writing to an image until it is closed. On storage without locks it holds nothing.

    Raises HostError if QEMU has the image open to write, DiskMissing, DiskDamaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = ImageFile.to_read(path)
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK, _NO_WRITES_AT))
            found = fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, _WRITES_AT))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.close()
                raise HostError(f"{path} cannot be held still: {error.strerror}") from error
            return
        if _LOCK.unpack(found)[0] != fcntl.F_UNLCK:
            self.close()
            raise HostError(
                f"{path} is in use by a running VM",
                hint="Shut the VM down: those of an image folder must be off.",
            )

    def close(self) -> None:
        self._file.close()


def _lock(kind: int, byte: int) -> bytes:
    return _LOCK.pack(kind, os.SEEK_SET, byte, 1, 0)
