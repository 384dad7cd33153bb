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

from restorium.vocabulary.errors import HostError

_WRITES_AT = 101
_NO_WRITES_AT = 201
_LOCK = struct.Struct("hhqqi4x")
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class HeldStill:
    """Keeps QEMU from writing to an image until it is closed. Raises HostError if it writes now.

    On storage without locks it holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(
                self._descriptor,
                fcntl.F_OFD_SETLK,
                _LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, _NO_WRITES_AT, 1, 0),
            )
            found = fcntl.fcntl(
                self._descriptor,
                fcntl.F_OFD_GETLK,
                _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _WRITES_AT, 1, 0),
            )
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.close()
                raise HostError(f"{path} cannot be held still: {error.strerror}") from error
            return
        if _LOCK.unpack(found)[0] != fcntl.F_UNLCK:
            self.close()
            raise HostError(
                f"{path} is in use by a running VM",
                hint="Shut the VM down; an image folder's VMs must be off.",
            )

    def close(self) -> None:
        os.close(self._descriptor)
