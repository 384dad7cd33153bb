"""Restore points: one VM at one moment each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import points
from restorium.flows import retention
from restorium.native.exchange import show
from restorium.native.exports import Export
from restorium.native.lists import Choice, guid, members, page_or_file, period, present, text
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.roles import ADMINISTRATORS, POINT_READERS
from restorium.vocabulary.errors import NotFound


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


_CHOICE = Choice(
    "-created_at",
    ("created_at", "vm_name"),
    {
        "vm": text("vm_name"),
        "host_id": guid("host_id"),
        "vm_ref": text("vm_ref"),
        "job": guid("job_id"),
        "repository": guid("repository_id"),
        "damaged": present("verify_problem"),
        **period("created_at"),
    },
)


def _list(call: Call) -> Page[RestorePoint] | Export:
    """Newest first; ``vm`` is a VM's name, ``host_id`` and ``vm_ref`` are as restore points have them, ``job`` and
    ``repository`` are ids; with ``damaged=true`` those of which the last verification found something wrong, with
    ``false`` the others; ``since`` and ``until`` are about when they were made.

    ``sort`` is created_at or vm_name, descending with a ``-`` in front. With ``format`` csv or ndjson, or such an
    Accept header, all that pass are sent, not one page.
    """
    return page_or_file(
        call, points.vm_listing, _CHOICE, members(RestorePoint), RestorePoint.__struct_fields__
    )


def _get(call: Call) -> RestorePoint:
    with call.engine.database.read() as connection:
        row = points.vm_listing.one(connection, call.id, call.visible)
    if row is None:
        raise NotFound(f"there is no restore point {call.id}")
    return show(row, RestorePoint)


def _remove(call: Call) -> None:
    """Remove one restore point; what it alone needs is freed by a prune. Other points restore as before.

    409 while a restore reads it, or files of it are open, and while its repository may not let it go yet.
    """
    retention.remove_point(call.engine, call.id)


OPERATIONS = (
    Operation("GET", "/restore-points", _list, POINT_READERS, query=(*_CHOICE.query, "format")),
    Operation("GET", "/restore-points/{id}", _get, POINT_READERS),
    Operation("DELETE", "/restore-points/{id}", _remove, ADMINISTRATORS, status=204),
)
