"""What an auditor is told of drills in a span of time: a page to print, and rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from restorium.reports.table import csv_lines
from restorium.vocabulary.drills import CheckOutcome

COLUMNS = (
    "vm",
    "vm_ref",
    "point",
    "point_created_at",
    "started_at",
    "ended_at",
    "plan",
    "requested_by",
    "recovery_seconds",
    "objective_seconds",
    "merkle_root",
    "result",
    "reason",
    "checks",
    "evidence",
)


@dataclass(frozen=True, slots=True)
class DrillRow:
    """One VM in one drill. ``merkle_root``: that of its evidence, which ``evidence`` names by its restore session."""

    vm: str
    vm_ref: str
    point: str | None
    point_created_at: datetime | None
    started_at: datetime
    ended_at: datetime | None
    plan: str
    requested_by: str
    recovery_ms: int | None
    objective_seconds: int
    merkle_root: str | None
    result: str
    reason: str | None
    outcomes: Sequence[CheckOutcome]
    evidence: str | None


@dataclass(frozen=True, slots=True)
class DrillReport:
    """Rows, oldest first, from ``start`` on and before ``end``.

    vms: how many there are to drill. drilled, passed: how many of the VMs in the rows, and those of which a drill came
    to Success. never: names of VMs without a drill in that time.
    """

    title: str
    server: str
    made_at: datetime
    start: datetime | None
    end: datetime | None
    vms: int
    drilled: int
    passed: int
    never: Sequence[str]
    rows: Sequence[DrillRow]


def as_html(report: DrillReport) -> str:
    """A page that needs nothing else and runs no script."""
    return _template().render(report=report)


def as_csv(report: DrillReport) -> str:
    """A line of names and one a row; what could be a formula is made text by an apostrophe."""
    return "".join(csv_lines(COLUMNS, map(_cells, report.rows), end="\r\n"))


def _cells(row: DrillRow) -> Sequence[str | None]:
    return (
        row.vm,
        row.vm_ref,
        row.point,
        _moment(row.point_created_at),
        _moment(row.started_at),
        _moment(row.ended_at),
        row.plan,
        row.requested_by,
        _seconds(row.recovery_ms),
        str(row.objective_seconds),
        row.merkle_root,
        row.result,
        row.reason,
        "; ".join(_check(outcome) for outcome in row.outcomes),
        row.evidence,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("restorium.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"moment": _moment, "seconds": _seconds, "check": _check}
    return environment.get_template("drills.html")


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f}"


def _check(outcome: CheckOutcome) -> str:
    subject = "" if outcome.subject is None else f" {outcome.subject}"
    return f"{outcome.kind}{subject}: {outcome.result}, {outcome.detail}"
