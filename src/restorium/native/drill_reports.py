"""What drills found, as a page or a table for an auditor."""

from __future__ import annotations

from starlette.responses import Response

from restorium.flows import drill_report
from restorium.native.operation import Call, Operation
from restorium.native.roles import DRILL_READERS
from restorium.reports import DrillReport, as_csv, as_html
from restorium.vocabulary.errors import InvalidInput


class Report(Response):
    """A page or a table."""


def _of_run(call: Call) -> Report:
    """One run for an auditor; ``format`` is html or csv."""
    return _sent(call, drill_report.of_run(call.engine, call.visible, call.id))


def _of_time(call: Call) -> Report:
    """The drills that began from ``from`` on and before ``to``, dates or moments; ``format`` is html or csv."""
    start, end = call.moment("from"), call.moment("to")
    return _sent(call, drill_report.of_time(call.engine, call.visible, start, end))


def _sent(call: Call, report: DrillReport) -> Report:
    kind = call.request.query_params.get("format", "html")
    if kind not in ("html", "csv"):
        raise InvalidInput(f"format={kind} is not offered", hint="Write format=html or format=csv.")
    content, media = (as_html(report), "text/html") if kind == "html" else (as_csv(report), "text/csv")
    headers = {
        "Content-Disposition": f'attachment; filename="drills.{kind}"',
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return Report(content, 200, headers, f"{media}; charset=utf-8")


OPERATIONS = (
    Operation("GET", "/drill-runs/{id}/report", _of_run, DRILL_READERS, query=("format",)),
    Operation("GET", "/drills/report", _of_time, DRILL_READERS, query=("from", "to", "format")),
)
