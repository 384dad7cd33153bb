"""Restore points: one VM at one moment each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import points
from restorium.catalog.listing import AllOf, Compare
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import POINT_READERS
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.ids import parse_guid


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
    """Newest first; ``vm`` is a VM's name, ``host_id`` and ``vm_ref`` are as restore points have them."""
    asked = call.request.query_params
    where: list[Compare] = []
    if "vm" in asked:
        where.append(Compare("vm_name", "==", asked["vm"]))
    if "host_id" in asked:
        where.append(Compare("host_id", "==", parse_guid(asked["host_id"])))
    if "vm_ref" in asked:
        where.append(Compare("vm_ref", "==", asked["vm_ref"]))
    with call.engine.database.read() as connection:
        rows = points.vm_listing.page(
            connection,
            where=AllOf(where) if where else None,
            order=[("created_at", True)],
            limit=call.limit,
            visible=call.visible,
        )
    return Items([show(row, RestorePoint) for row in rows])


def _get(call: Call) -> RestorePoint:
    with call.engine.database.read() as connection:
        row = points.vm_listing.one(connection, call.id, call.visible)
    if row is None:
        raise NotFound(f"there is no restore point {call.id}")
    return show(row, RestorePoint)


OPERATIONS = (
    Operation("GET", "/restore-points", _list, POINT_READERS, query=("vm", "host_id", "vm_ref", "limit")),
    Operation("GET", "/restore-points/{id}", _get, POINT_READERS),
)
