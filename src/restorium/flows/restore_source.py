"""What a restore is made from: the restore point, its manifest, and the repository that holds both."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from restorium.catalog import points
from restorium.catalog.listing import Row, Visibility
from restorium.flows import descriptions
from restorium.flows.engine import Engine
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.vault import DiskRecord, Point, Vault
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, NotFound


class RestoreSource:
    """The restore point of a restore session, whose row is ``session``.

    It never changes, so each part is looked up once. All raise NotFound for a point that is gone, DataCorrupt
    for a manifest that is damaged, and StorageUnavailable.
    """

    def __init__(self, engine: Engine, session: Row) -> None:
        self._engine = engine
        self._session = session

    @cached_property
    def row(self) -> Row:
        """The point as points.vm_listing has it."""
        row, point_id = None, self._session.vm_restore_point_id
        if point_id is not None:
            with self._engine.database.read() as connection:
                row = points.vm_listing.one(connection, point_id, Visibility.everything())
        if row is None:
            raise NotFound(f"the restore point {self._session.vm_restore_point_name} is not there any more")
        return row

    @cached_property
    def vault(self) -> Vault:
        return self._engine.vault(self.row.repository_id)

    @cached_property
    def description(self) -> VmDescription:
        return descriptions.from_json(self._point.description.vm)

    def record(self, disk: DiskInfo) -> DiskRecord:
        for record in self._point.disks:
            if record.key == disk.key:
                return record
        raise DataCorrupt(f"the restore point describes a disk {disk.key!r} that it does not hold")

    def check(self, disk: DiskInfo, cancelled: Callable[[], bool]) -> int:
        """Bytes of data in the disk.

        Raises ChunkMissing and DataCorrupt unless the repository has all, and Cancelled.
        """
        record = self.record(disk)
        try:
            missing = self.vault.missing_chunks(self._point, record, cancelled=cancelled)
            if missing:
                raise ChunkMissing(f"{missing} chunks are in no pack of the repository")
            return self.vault.planned_bytes(record, cancelled=cancelled)
        except (ChunkMissing, DataCorrupt) as error:
            raise type(error)(f"disk {disk.key!r} cannot be restored: {error.message}") from error

    @cached_property
    def _point(self) -> Point:
        return self.vault.point(self.row.vault_point)
