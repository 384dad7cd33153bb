"""Options that say when something runs by itself, and the schedule that they come to, as the native API has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.timing import (
    parse_day_of_month,
    parse_days,
    parse_hours,
    parse_months,
    parse_period,
)

Daily = Annotated[str | None, typer.Option("--daily", help="Once a day at HH:MM.")]
Days = Annotated[str | None, typer.Option("--days", help="Of --daily: mon,wed or mon-fri or weekdays.")]
Monthly = Annotated[str | None, typer.Option("--monthly", help="Once a month at HH:MM, --on a day.")]
On = Annotated[str | None, typer.Option("--on", help="Of --monthly: 15, or 'last sunday'; else 1.")]
Months = Annotated[str | None, typer.Option("--months", help="Of --monthly: jan,jul.")]
Every = Annotated[str | None, typer.Option("--every", help="From midnight on, every 4h or 30m.")]
Zone = Annotated[
    str | None,
    typer.Option("--zone", help="Time zone, such as Europe/Berlin; else the present one, or UTC."),
]
Window = Annotated[
    list[str] | None, typer.Option("--window", help="When runs may go on: 'mon-fri 22-6'; several add up.")
]

MEMBERS = {
    "daily": "daily",
    "monthly": "monthly",
    "every": "periodic",
    "continuous": "continuous",
    "after": "after_job_id",
}
"""Of a schedule, by the option that sets it."""

Given = tuple[str, object, Sequence[str]]
"""An option, what it was given, and the options of which it goes with one."""


def times(
    *,
    daily: str | None,
    days: str | None,
    monthly: str | None,
    on: str | None,
    months: str | None,
    every: str | None,
    hours: Sequence[str] = (),
) -> dict[str, Any]:
    """The members of a schedule that runs by time; none if no such option is given. Raises InvalidInput."""
    asked: dict[str, Any] = {}
    if daily is not None:
        asked["daily"] = {"at": daily, "days": None if days is None else parse_days(days)}
    if monthly is not None:
        chosen = None if months is None else parse_months(months)
        asked["monthly"] = {"at": monthly, "months": chosen} | parse_day_of_month(on or "1")
    if every is not None:
        asked["periodic"] = parse_period(every) | {"hours": parse_hours(hours)}
    return asked


def check_together(asked: Mapping[str, Any], given: Iterable[Given]) -> None:
    """Raises InvalidInput for an option that was given without one that it goes with."""
    for option, value, ways in given:
        if value and not {MEMBERS[way] for way in ways} & asked.keys():
            needed = " or ".join(f"--{way}" for way in ways)
            raise InvalidInput(
                f"{option} says nothing without {needed}", hint="A schedule is set all at once."
            )
