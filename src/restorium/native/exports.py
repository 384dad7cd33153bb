"""Lists as files: one row a line, as CSV or as JSON, sent while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from starlette.responses import StreamingResponse

from restorium.native.operation import Call
from restorium.reports import csv_lines
from restorium.vocabulary.errors import InvalidInput

CSV, NDJSON = "text/csv", "application/x-ndjson"
_FORMATS = {"json": None, "csv": CSV, "ndjson": NDJSON}
_WANTED = {"application/json": None, CSV: CSV, NDJSON: NDJSON}


class Export(StreamingResponse):
    """All that passes the filter, one line a row."""

    media_types: ClassVar = (CSV, NDJSON)


def wanted(call: Call) -> str | None:
    """The media type of the file that ``?format=`` or the header Accept asks for; None for a page of JSON.

    Raises InvalidInput for a format that is not known.
    """
    asked = call.request.query_params.get("format")
    if asked is not None:
        if asked not in _FORMATS:
            raise InvalidInput(f"format={asked} is not known", hint=f"Known are {', '.join(_FORMATS)}.")
        return _FORMATS[asked]
    best, found = 0.0, None
    for part in call.request.headers.get("Accept", "").split(","):
        media_type, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = _quality(parameters)
        if media_type in _WANTED and quality > best:
            best, found = quality, _WANTED[media_type]
    return found


def export(media_type: str, items: Iterable[msgspec.Struct], columns: Sequence[str]) -> Export:
    """``items`` as a file; in CSV with these columns, where ``a.b`` is the member b of the member a."""
    if media_type == NDJSON:
        return Export((msgspec.json.encode(item) + b"\n" for item in items), media_type=NDJSON)
    rows = ([_member(item, column) for column in columns] for item in map(msgspec.to_builtins, items))
    return Export(csv_lines(columns, rows), media_type=f"{CSV}; charset=utf-8")


def _member(item: Mapping[str, Any], column: str) -> Any:
    found: Any = item
    for name in column.split("."):
        found = None if found is None else found[name]
    return found


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
