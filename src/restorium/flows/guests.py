"""The file systems inside restore points, opened once for all who read them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID
from weakref import WeakKeyDictionary

from restorium.catalog.listing import Visibility
from restorium.flows.engine import Engine
from restorium.flows.point_disks import disks_of
from restorium.guest import Guest, open_guest

_MOST_OPEN = 8
"""Each may keep 16 MiB a disk."""

_opened: WeakKeyDictionary[Engine, OrderedDict[UUID, Guest]] = WeakKeyDictionary()
_lock = threading.Lock()


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
    return open_guest(disks_of(engine, point_id, Visibility.everything()))
