"""A flat disk file in a datastore, read over HTTPS in ranges."""

from __future__ import annotations

from collections.abc import Sequence

from restorium.disks.interface import Extent
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.mapped import MappedDisk
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError

_PARTIAL = 206
_NOT_FOUND = 404
_UNSATISFIABLE = 416


class FlatReader(MappedDisk):
    """A DiskReader. allocated: see MappedDisk."""

    def __init__(
        self,
        connection: Connection,
        url: str,
        label: str,
        size: int,
        allocated: Sequence[Extent] | None = None,
    ) -> None:
        super().__init__(label, size, allocated)
        self._connection = connection
        self._url = url

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        if not buffer:
            return
        asked = {"Range": f"bytes={offset}-{offset + len(buffer) - 1}"}
        with self._connection.request("GET", self._url, headers=asked) as answer:
            if answer.status_code == _NOT_FOUND:
                raise DiskMissing(
                    f"{self.name} has no flat file to be read",
                    hint="Disks on VMFS and NFS datastores have one; those on vSAN and vVols cannot be read so.",
                )
            if answer.status_code == _UNSATISFIABLE:
                raise self._short(offset)
            if answer.status_code != _PARTIAL:
                raise HostError(f"{self.name} cannot be read: the host answers HTTP {answer.status_code}")
            done = 0
            for part in answer.iter_raw():
                if done + len(part) > len(buffer):
                    raise HostError(f"{self.name} cannot be read: the host answers more than was asked for")
                buffer[done : done + len(part)] = part
                done += len(part)
        if done < len(buffer):
            raise self._short(offset + done)

    def close(self) -> None:
        """The connection is the host's."""

    def _short(self, at: int) -> DiskDamaged:
        return DiskDamaged(f"{self.name} ends at byte {at}, before its disk of {self._size} does")
