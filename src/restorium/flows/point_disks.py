"""The disks and the hardware of a VM restore point, read where they lie: nothing is restored."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from restorium.catalog import points
from restorium.catalog.listing import Visibility
from restorium.disks.interface import Extent
from restorium.flows import descriptions
from restorium.flows.engine import Engine
from restorium.hosts.interface import Hardware
from restorium.vault import DiskRecord, Point, Vault
from restorium.vocabulary.errors import NotFound


class PointDisk:
    """One disk of a restore point. ``format`` is that of the image it was backed up from.

    Reading raises DataCorrupt, ChunkMissing, StorageUnavailable.
    """

    def __init__(self, vault: Vault, record: DiskRecord, image_format: str) -> None:
        self.key = record.key
        self.size = record.size
        self.format = image_format
        self._vault = vault
        self._record = record

    def read_into(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self._vault.read(self._record, offset, len(buffer))

    def read(self, offset: int, length: int) -> bytes:
        """Raises InvalidInput for bytes that the disk has not."""
        return self._vault.read(self._record, offset, length)

    def extents(self) -> Iterator[Extent]:
        """Data and holes, in order, covering the disk."""
        return self._vault.extents(self._record)


def disks_of(engine: Engine, point_id: UUID, visible: Visibility) -> list[PointDisk]:
    """The disks of a restore point, in its order.

    Raises NotFound, also for what ``visible`` hides, DataCorrupt, StorageUnavailable.
    """
    vault, point = _point(engine, point_id, visible)
    formats = {disk.key: disk.format for disk in descriptions.from_json(point.description.vm).disks}
    return [PointDisk(vault, record, formats.get(record.key, "raw")) for record in point.disks]


def hardware_of(engine: Engine, point_id: UUID, visible: Visibility) -> Hardware:
    """What the VM has besides its disks. Raises as ``disks_of``."""
    _, point = _point(engine, point_id, visible)
    return descriptions.from_json(point.description.vm).hardware


def _point(engine: Engine, point_id: UUID, visible: Visibility) -> tuple[Vault, Point]:
    with engine.database.read() as connection:
        row = points.vm_listing.one(connection, point_id, visible)
    if row is None:
        raise NotFound(f"there is no restore point {point_id}")
    vault = engine.vault(row.repository_id)
    return vault, vault.point(row.vault_point)
