"""The file systems inside restore points, opened once for all who read them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID
from weakref import WeakKeyDictionary

from restorium.catalog import points
from restorium.catalog.listing import Visibility
from restorium.flows.engine import Engine
from restorium.guest import Guest, open_guest
from restorium.vault import DiskRecord, Vault
from restorium.vocabulary.errors import NotFound

_MOST_OPEN = 8
"""Each may keep 16 MiB a disk."""

_opened: WeakKeyDictionary[Engine, OrderedDict[UUID, Guest]] = WeakKeyDictionary()
_lock = threading.Lock()


class VaultDisk:
    """A disk of a restore point as the guest room reads it."""

    def __init__(self, vault: Vault, record: DiskRecord) -> None:
        self.size = record.size
        self._vault = vault
        self._record = record

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Raises DataCorrupt, ChunkMissing, StorageUnavailable."""
        buffer[:] = self._vault.read(self._record, offset, len(buffer))


def guest_of(engine: Engine, point_id: UUID) -> Guest:
    """What is inside a VM restore point, which never changes. The last few stay open.

    Raises NotFound, Unsupported if nothing in it can be read, DataCorrupt, ChunkMissing, StorageUnavailable.
    """
    with _lock:
        known = _opened.setdefault(engine, OrderedDict())
        if point_id in known:
            known.move_to_end(point_id)
            return known[point_id]
    guest = _open(engine, point_id)
    with _lock:
        known[point_id] = guest
        if len(known) > _MOST_OPEN:
            known.popitem(last=False)
    return guest


def _open(engine: Engine, point_id: UUID) -> Guest:
    with engine.database.read() as connection:
        row = points.vm_listing.one(connection, point_id, Visibility.everything())
    if row is None:
        raise NotFound(f"there is no restore point {point_id}")
    vault = engine.vault(row.repository_id)
    return open_guest([VaultDisk(vault, disk) for disk in vault.point(row.vault_point).disks])
