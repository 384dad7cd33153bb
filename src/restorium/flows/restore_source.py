"""What a restore is made from: the restore point, its manifest, and the repository that holds both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from restorium.catalog import points
from restorium.catalog.listing import Row, Visibility
from restorium.flows import descriptions
from restorium.flows.engine import Engine
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.vault import DiskRecord, Missing, Point, Vault
from restorium.vocabulary.errors import ChunkMissing, DataCorrupt, NotFound

_TOLD_SPANS = 3


@dataclass(frozen=True, slots=True)
class Examined:
    """One disk of the point, held against the repository. ``lost``: why it cannot be restored, if it cannot."""

    disk: DiskInfo
    data_bytes: int
    missing: Missing
    lost: ChunkMissing | DataCorrupt | None


class RestoreSource:
    """A restore point. ``name`` is what to call it if it is gone.

    It never changes, so each part is looked up once. All raise NotFound for a point that is gone, DataCorrupt
    for a manifest that is damaged, and StorageUnavailable.
    """

    def __init__(self, engine: Engine, point_id: UUID | None, name: str) -> None:
        self._engine = engine
        self._point_id = point_id
        self._name = name

    @cached_property
    def row(self) -> Row:
        """The point as points.vm_listing has it."""
        row = None
        if self._point_id is not None:
            with self._engine.database.read() as connection:
                row = points.vm_listing.one(connection, self._point_id, Visibility.everything())
        if row is None:
            raise NotFound(f"the restore point {self._name} is not there any more")
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

    def examine(self, disk: DiskInfo, cancelled: Callable[[], bool]) -> Examined:
        """Look whether the repository has every chunk of the disk. Raises Cancelled."""
        data, missing = 0, Missing()
        lost: ChunkMissing | DataCorrupt | None = None
        try:
            record = self.record(disk)
            missing = self.vault.missing_chunks(self._point, record, cancelled=cancelled)
            data = self.vault.planned_bytes(record, cancelled=cancelled)
            if missing.chunks:
                lost = ChunkMissing(f"{_told(missing)} in no pack of the repository")
        except (ChunkMissing, DataCorrupt) as error:
            lost = error
        if lost is not None:
            told = f"disk {disk.key!r} of {self.row.vm_name} cannot be restored: {lost.message}"
            lost = type(lost)(told)
        return Examined(disk, data, missing, lost)

    @cached_property
    def _point(self) -> Point:
        return self.vault.point(self.row.vault_point)


def _told(missing: Missing) -> str:
    told = [f"{start:,} to {end:,}" for start, end in missing.spans[:_TOLD_SPANS]]
    others = len(missing.spans) - len(told) + missing.more
    if others:
        told.append(f"{others:,} more ranges")
    chunks = "1 chunk" if missing.chunks == 1 else f"{missing.chunks:,} chunks"
    return f"bytes {', '.join(told)} ({chunks}) are"
