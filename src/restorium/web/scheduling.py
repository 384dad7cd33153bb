"""Fields of forms that say when something runs and how long it is kept, as values of the native API and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from restorium.native import retention as keeping
from restorium.native.retention import Retention
from restorium.native.schedules import Continuous, Daily, Monthly, Periodic, Retry, Schedule
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.retention import WeekOfMonth
from restorium.vocabulary.schedule import Month, PeriodKind, Weekday
from restorium.vocabulary.timing import (
    parse_day_of_month,
    parse_hours,
    parse_months,
    parse_period,
    write_hours,
)
from restorium.web.visit import Form

E = TypeVar("E", bound=StrEnum)

Fields = Mapping[str, str | Sequence[str]]

DAYS = (*tuple(Weekday)[1:], Weekday.SUNDAY)
CHOICES = {"days": DAYS, "weeks": tuple(WeekOfMonth), "months": tuple(Month)}
"""What templates let choose from."""

_USUAL: dict[str, str | Sequence[str]] = {
    "way": "",
    "daily_at": "22:00",
    "days": list(Weekday),
    "monthly_at": "22:00",
    "on": "1",
    "every": "4h",
    "zone": "UTC",
    "enabled": "yes",
    "retry_times": "3",
    "retry_wait": "10",
}
_KEPT: dict[str, str | Sequence[str]] = {
    "keep": "all",
    "points": "14",
    "days_kept": "14",
    "weekly_day": Weekday.SUNDAY.value,
}


def schedule_of(form: Form) -> Schedule | None:
    """None if it is to run only when it is started. Raises InvalidInput."""
    way = form["way"]
    if not way:
        return None
    times = form.number("retry_times", "retries")
    made = Schedule(
        zone=form.text("zone") or "UTC",
        enabled="enabled" in form,
        window=parse_hours(form.lines("window")),
        retry=Retry(times, form.number("retry_wait", "minutes before a retry", 1) or 10) if times else None,
    )
    match way:
        case "daily":
            made.daily = Daily(form["daily_at"], _days(form))
        case "monthly":
            months = form.text("months")
            chosen = None if months is None else parse_months(months)
            made.monthly = Monthly(
                form["monthly_at"], months=chosen, **parse_day_of_month(form.text("on") or "1")
            )
        case "periodic":
            period = parse_period(form["every"])
            hours = parse_hours(form.lines("periodic_hours"))
            made.periodic = Periodic(period["every"], PeriodKind(period["unit"]), hours)
        case "continuous":
            made.continuous = Continuous(parse_hours(form.lines("continuous_hours")))
        case "after":
            if not form["after_job"]:
                raise InvalidInput("no job is chosen that it runs after", hint="Choose one.")
            made.after_job_id = parse_guid(form["after_job"])
        case _:
            raise InvalidInput(f"{way!r} is no way to run")
    return made


def schedule_fields(schedule: Schedule | None) -> Fields:
    """What a form shows of it, and of what it has not, what is usual."""
    if schedule is None:
        return _USUAL
    fields = _USUAL | {
        "zone": schedule.zone,
        "enabled": "yes" if schedule.enabled else [],
        "window": "\n".join(write_hours(schedule.window)),
        "retry_times": str(schedule.retry.times) if schedule.retry else "",
        "retry_wait": str(schedule.retry.wait_minutes) if schedule.retry else "10",
    }
    if (daily := schedule.daily) is not None:
        return fields | {"way": "daily", "daily_at": daily.at, "days": daily.days or list(Weekday)}
    if (monthly := schedule.monthly) is not None:
        on = str(monthly.day) if monthly.day else f"{monthly.week} {monthly.weekday}".lower()
        months = ",".join(month[:3].lower() for month in monthly.months or ())
        return fields | {"way": "monthly", "monthly_at": monthly.at, "on": on, "months": months}
    if (periodic := schedule.periodic) is not None:
        every = f"{periodic.every}{'h' if periodic.unit is PeriodKind.HOURS else 'm'}"
        hours = "\n".join(write_hours(periodic.hours))
        return fields | {"way": "periodic", "every": every, "periodic_hours": hours}
    if (continuous := schedule.continuous) is not None:
        return fields | {"way": "continuous", "continuous_hours": "\n".join(write_hours(continuous.hours))}
    return fields | {"way": "after", "after_job": str(schedule.after_job_id)}


def retention_of(form: Form) -> Retention | None:
    """None if everything is to be kept. Raises InvalidInput."""
    keep = form["keep"]
    if keep == "all":
        return None
    if keep not in ("points", "days"):
        raise InvalidInput("it is not said how long restore points are kept", hint="Choose one of the three.")
    weeks, months, years = (
        form.number(f"keep_{period}", f"{period} to keep") for period in ("weeks", "months", "years")
    )
    return Retention(
        points=form.number("points", "restore points to keep") if keep == "points" else None,
        days=form.number("days_kept", "days to keep") if keep == "days" else None,
        weekly=keeping.Weekly(weeks, _chosen(Weekday, form["weekly_day"])) if weeks else None,
        monthly=keeping.Monthly(months, _chosen(WeekOfMonth, form["monthly_week"])) if months else None,
        yearly=keeping.Yearly(years, _chosen(Month, form["yearly_month"])) if years else None,
    )


def retention_fields(kept: Retention | None) -> Fields:
    """What a form shows of it, and of what it has not, what is usual."""
    if kept is None:
        return _KEPT
    fields = _KEPT | {"keep": "points" if kept.points is not None else "days"}
    if kept.points is not None:
        fields["points"] = str(kept.points)
    if kept.days is not None:
        fields["days_kept"] = str(kept.days)
    if kept.weekly:
        fields |= {"keep_weeks": str(kept.weekly.weeks), "weekly_day": kept.weekly.day}
    if kept.monthly:
        fields |= {"keep_months": str(kept.monthly.months), "monthly_week": kept.monthly.week}
    if kept.yearly:
        fields |= {"keep_years": str(kept.yearly.years), "yearly_month": kept.yearly.month}
    return fields


def _days(form: Form) -> list[Weekday] | None:
    days = [_chosen(Weekday, name) for name in form.all("days")]
    if not days:
        raise InvalidInput("no day of the week is chosen", hint="Choose the days on which it runs.")
    return None if len(set(days)) == len(Weekday) else days


def _chosen(kind: type[E], name: str) -> E:
    try:
        return kind(name)
    except ValueError:
        raise InvalidInput(f"{name!r} is none of those to choose from") from None
