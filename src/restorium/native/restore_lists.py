"""Restore sessions: lists of them, and how fast one went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from restorium.catalog import rates, restore_sessions
from restorium.catalog.filters import Operator
from restorium.catalog.listing import AllOf, AnyOf, Compare, Filter, Order, Row
from restorium.native.exchange import moment
from restorium.native.exports import Export, export, wanted
from restorium.native.operation import Call, Operation
from restorium.native.paging import Asked, Page, everything, page
from restorium.native.restores import RestoreSummary, find, summary
from restorium.native.roles import EVERYONE
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState

_CHOICES: dict[str, tuple[str, Any]] = {
    "state": ("state", SessionState),
    "result": ("result", SessionResult),
    "kind": ("job_type", RestoreKind),
}
_TEXTS: dict[str, tuple[str, Operator]] = {
    "vm": ("vm_name", "contains"),
    "requested_by": ("requested_by", "=="),
}
_MOMENTS: dict[str, tuple[str, Operator]] = {"since": ("created_at", ">="), "until": ("created_at", "<")}
_SORTS = ("created_at", "ended_at", "vm_name")
_QUERY = (*_CHOICES, *_TEXTS, *_MOMENTS, "sort")
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
    asked = Asked.of(call, _QUERY)
    order = _order(asked.parameters.get("sort", "-created_at"))
    where = _where(asked, order)
    form = partial(summary, at=call.engine.clock.now())
    media_type = wanted(call)
    if media_type is None:
        return page(call, restore_sessions.listing, asked, where, order, form)
    rows: Iterator[RestoreSummary] = everything(call, restore_sessions.listing, asked, where, order, form)
    return export(media_type, rows, _COLUMNS)


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


def _order(sort: str) -> Order:
    name = sort.removeprefix("-")
    if name not in _SORTS:
        raise InvalidInput(
            f"sort={sort} is not possible", hint=f"Sort by {', '.join(_SORTS)}, or -{_SORTS[0]}."
        )
    return [(name, sort.startswith("-"))]


def _where(asked: Asked, order: Order) -> Filter:
    parts: list[Filter] = []
    given = asked.parameters
    for name, (column, kind) in _CHOICES.items():
        if name in given:
            parts.append(
                AnyOf([Compare(column, "==", _member(name, kind, each)) for each in given[name].split(",")])
            )
    for name, (column, op) in _TEXTS.items():
        if name in given:
            parts.append(Compare(column, op, given[name]))
    for name, (column, op) in _MOMENTS.items():
        if name in given:
            parts.append(Compare(column, op, moment(name, given[name])))
    if order[0][0] == "ended_at":
        parts.append(Compare("ended_at", "!=", None))
    return AllOf(parts)


def _member(name: str, kind: Any, text: str) -> Any:
    found = next((member for member in kind if member.lower() == text.strip().lower()), None)
    if found is None:
        raise InvalidInput(f"{name}={text} is not known", hint=f"Known are {', '.join(kind)}.")
    return found


OPERATIONS = (
    Operation("GET", "/restore-sessions", _list, EVERYONE, query=(*_QUERY, "limit", "after", "format")),
    Operation("GET", "/restore-sessions/{id}/speed", _speed, EVERYONE),
)
