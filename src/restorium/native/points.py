"""Restore points: one VM at one moment each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import points
from restorium.catalog.listing import Compare
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import POINT_READERS


class RestorePoint(msgspec.Struct):
    """``point_type`` is Full or Increment: how much had to be read. Every point restores alone.

    verified_at: of the last verification of its repository that came to it; verified_data: whether that read all data;
    verify_problem: what it found to be wrong.
    """

    id: UUID
    name: str
    vm_name: str
    vm_ref: str
    host_id: UUID
    host_name: str
    job_name: str | None
    point_type: str
    created_at: datetime
    verified_at: datetime | None
    verified_data: bool | None
    verify_problem: str | None


def _list(call: Call) -> Items[RestorePoint]:
    vm = call.request.query_params.get("vm")
    with call.engine.database.read() as connection:
        rows = points.vm_listing.page(
            connection,
            where=None if vm is None else Compare("vm_name", "==", vm),
            order=[("created_at", True)],
            limit=call.limit,
            visible=call.visible,
        )
    return Items([show(row, RestorePoint) for row in rows])


OPERATIONS = (Operation("GET", "/restore-points", _list, POINT_READERS, query=("vm", "limit")),)
