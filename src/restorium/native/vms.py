"""VMs that there are restore points of, and how well each is protected."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import protected_vms
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import POINT_READERS


class ProtectedVm(msgspec.Struct):
    """``points``: its restore points; ``newest_at``: when the newest was made.

    verified_at: of the last verification of a repository that came to one of them; damaged: those it found wrong.
    restored_at: when the whole VM was last restored and read back, drills included; null if never. drilled_at: when it
    last passed a drill.
    """

    host_id: UUID
    host_name: str
    vm_ref: str
    vm_name: str
    points: int
    newest_at: datetime
    verified_at: datetime | None
    damaged: int
    restored_at: datetime | None
    drilled_at: datetime | None


def _list(call: Call) -> Items[ProtectedVm]:
    """By name."""
    with call.engine.database.read() as connection:
        return Items([show(row, ProtectedVm) for row in protected_vms.list_all(connection, call.visible)])


OPERATIONS = (Operation("GET", "/vms", _list, POINT_READERS),)
