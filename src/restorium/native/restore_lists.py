"""Restore sessions: lists of them, and how fast one went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.engine import Connection

from restorium.catalog import rates, restore_sessions
from restorium.catalog.listing import Row
from restorium.native.exports import Export
from restorium.native.lists import Choice, one_of, page_or_file, period, text
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.restores import RestoreSummary, find, summary
from restorium.native.roles import EVERYONE
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState

_CHOICE = Choice(
    "-created_at",
    ("created_at", "ended_at", "vm_name"),
    {
        "state": one_of("state", SessionState),
        "result": one_of("result", SessionResult),
        "kind": one_of("job_type", RestoreKind),
        "vm": text("vm_name", "contains"),
        "requested_by": text("requested_by"),
        **period("created_at"),
    },
    partial=frozenset({"ended_at"}),
)
_COLUMNS = (
    *(name for name in RestoreSummary.__struct_fields__ if name not in ("reason", "links")),
    "reason.code",
    "reason.message",
    "reason.hint",
)


class Sample(msgspec.Struct):
    """How far a restore was at a moment; ``speed`` is in bytes a second since the sample before."""

    at: datetime
    phase: RestorePhase
    copied_bytes: int
    verified_bytes: int
    speed: int


class Speed(msgspec.Struct):
    """At most 300 samples, the further apart the longer the restore takes."""

    samples: list[Sample]


def _list(call: Call) -> Page[RestoreSummary] | Export:
    """Newest first. ``state``, ``result`` and ``kind`` are one or more names with commas between them; ``vm`` is in the
    VM's name; ``since`` and ``until`` are about when it was asked for.

    ``sort`` is created_at, ended_at (of those that have ended) or vm_name, descending with a ``-`` in front. With
    ``format`` csv or ndjson, or such an Accept header, all that pass are sent, not one page.
    """
    at = call.engine.clock.now()

    def form(_connection: Connection, rows: Sequence[Row]) -> list[RestoreSummary]:
        return [summary(row, at) for row in rows]

    return page_or_file(call, restore_sessions.listing, _CHOICE, form, _COLUMNS)


def _speed(call: Call) -> Speed:
    """How far a restore was over time."""
    with call.engine.database.read() as connection:
        row = find(connection, call.id, call.visible)
        found = rates.samples(connection, row.id)
    return Speed([_sample(before, sample) for before, sample in zip([None, *found], found, strict=False)])


def _sample(before: Row | None, sample: Row) -> Sample:
    speed = 0
    if before is not None:
        moved = (sample.copied_bytes - before.copied_bytes) + (sample.verified_bytes - before.verified_bytes)
        speed = max(0, round(moved / (sample.at - before.at).total_seconds()))
    return Sample(sample.at, sample.phase, sample.copied_bytes, sample.verified_bytes, speed)


OPERATIONS = (
    Operation("GET", "/restore-sessions", _list, EVERYONE, query=(*_CHOICE.query, "format")),
    Operation("GET", "/restore-sessions/{id}/speed", _speed, EVERYONE),
)
