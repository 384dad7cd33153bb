"""The audit log: reading it, and taking it away to be kept and checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from starlette.responses import StreamingResponse

from restorium.catalog.filters import storable
from restorium.catalog.listing import Row
from restorium.flows import audit as flows
from restorium.flows.audit import Content, Wanted
from restorium.native.exchange import moment
from restorium.native.operation import Call, Operation
from restorium.native.paging import Asked, Page, seal
from restorium.native.roles import ADMINISTRATORS
from restorium.reports import csv_lines
from restorium.vocabulary.errors import InvalidInput

_QUERY = ("actor", "operation", "since", "until")


class AuditHead(msgspec.Struct):
    """How many entries there are, and the hash of the last in hexadecimal digits. Noted down elsewhere, it tells later
    whether the log was cut off or written anew.
    """

    number: int
    hash: str


class AuditExport(StreamingResponse):
    """One line an entry, in their order: JSON with ``content`` (text) and ``hash``, or CSV of what they say."""

    media_types: ClassVar = ("application/x-ndjson", "text/csv")


def _list(call: Call) -> Page[Content]:
    """Entries, the newest first: of ``actor``, of ``operation``, from ``since`` on, earlier than ``until``."""
    asked, limit = Asked.of(call, _QUERY), call.limit
    before = None if asked.after is None else asked.after[0]
    found = flows.page(call.engine, _wanted(asked.parameters), before=before, limit=limit)
    return Page(found, seal(call, asked, [found[-1].number]) if len(found) == limit else None)


def _head(call: Call) -> AuditHead:
    """The end of the log."""
    head = flows.head(call.engine)
    return AuditHead(head.number, head.hash.hex())


def _export(call: Call) -> AuditExport:
    """The log, or what is wanted of it, as ``ndjson``, which can be verified if it is whole, or as ``csv``."""
    asked = call.request.query_params.get("format", "ndjson")
    if asked not in _FORMATS:
        raise InvalidInput(f"format={asked} is not known", hint=f"Known are {', '.join(_FORMATS)}.")
    media_type, written = _FORMATS[asked]
    return AuditExport(
        written(flows.stream(call.engine, _wanted(call.request.query_params))), media_type=media_type
    )


def _wanted(asked: Mapping[str, str]) -> Wanted:
    since, until = (moment(name, asked[name]) if name in asked else None for name in ("since", "until"))
    return Wanted(_name(asked, "actor"), _name(asked, "operation"), since, until)


def _name(asked: Mapping[str, str], parameter: str) -> str | None:
    text = asked.get(parameter)
    if text is not None and not storable(text):
        raise InvalidInput(f"{parameter}={text!r} is no name")
    return text


def _lines(rows: Iterator[Row]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode({"content": row.content, "hash": row.hash.hex()}) + b"\n"


def _table(rows: Iterator[Row]) -> Iterator[str]:
    members = Content.__struct_fields__

    def cells(row: Row) -> list[Any]:
        said = msgspec.json.decode(row.content)
        said["subject"] = " ".join(said["subject"])
        return [*(said[member] for member in members), row.hash.hex()]

    return csv_lines([*members, "hash"], map(cells, rows))


_FORMATS: dict[str, tuple[str, Callable[[Iterator[Row]], Iterator[str] | Iterator[bytes]]]] = {
    "ndjson": ("application/x-ndjson", _lines),
    "csv": ("text/csv; charset=utf-8", _table),
}

OPERATIONS = (
    Operation("GET", "/audit", _list, ADMINISTRATORS, query=(*_QUERY, "limit", "after")),
    Operation("GET", "/audit/head", _head, ADMINISTRATORS),
    Operation("GET", "/audit/export", _export, ADMINISTRATORS, query=(*_QUERY, "format")),
)
