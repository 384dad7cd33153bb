"""VMs that there are restore points of, and how well each is protected."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from restorium.catalog import protected_vms, protection
from restorium.catalog.listing import Row
from restorium.native.exchange import Items, show, whole
from restorium.native.operation import Call, Operation
from restorium.native.roles import POINT_READERS
from restorium.vocabulary.errors import InvalidInput

_MOST_DAYS = 36500
_DAYS = 30


class ProtectedVm(msgspec.Struct):
    """``points``: its restore points; ``newest_at``: when the newest was made.

    verified_at: of the last verification of a repository that came to one of them; damaged: those it found wrong.
    restored_at: when the whole VM was last restored and read back, drills included; null if never. drilled_at: when it
    last passed a drill. at_risk: as ``/vms/at-risk`` has it of 30 days.
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
    at_risk: bool


class VmAtRisk(msgspec.Struct):
    """As ProtectedVm; ``newest_at`` is null if there is no restore point at all."""

    host_id: UUID
    vm_ref: str
    vm_name: str
    newest_at: datetime | None
    verified_at: datetime | None
    restored_at: datetime | None
    drilled_at: datetime | None


def _list(call: Call) -> Items[ProtectedVm]:
    """By name."""
    with call.engine.database.read() as connection:
        rows = protected_vms.list_all(connection, call.visible)
    at, within = call.engine.clock.now(), timedelta(days=_DAYS)
    return Items([_shown(row, protection.unproven(row.restored_at, at, within)) for row in rows])


def _at_risk(call: Call) -> Items[VmAtRisk]:
    """VMs that jobs back up or that have restore points, of which no restore, and so no drill, has succeeded in the
    last ``days``, 30 unless it says otherwise; by name.
    """
    text = call.request.query_params.get("days", str(_DAYS))
    days = whole(text, 1, _MOST_DAYS)
    if days is None:
        raise InvalidInput(f"days={text} is not a number from 1 to {_MOST_DAYS}")
    with call.engine.database.read() as connection:
        found = protection.at_risk(connection, call.visible, timedelta(days=days))
    return Items([show(vm, VmAtRisk) for vm in found])


def _shown(row: Row, at_risk: bool) -> ProtectedVm:
    known = {name: getattr(row, name) for name in ProtectedVm.__struct_fields__ if name != "at_risk"}
    return ProtectedVm(**known, at_risk=at_risk)


OPERATIONS = (
    Operation("GET", "/vms", _list, POINT_READERS),
    Operation("GET", "/vms/at-risk", _at_risk, POINT_READERS, query=("days",)),
)
