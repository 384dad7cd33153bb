"""When a job runs by itself, as the native API writes it, and as a value."""

from __future__ import annotations

import re
from datetime import time
from uuid import UUID

import msgspec

from restorium.vocabulary import schedule as values
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.schedule import DailyKind, Hours, Month, PeriodKind, Weekday, WeekInMonth

OpenHours = dict[Weekday, list[int]]
"""For each day its open hours, 0 to 23; all hours of a day that is not named are closed."""

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_WORKING = frozenset(tuple(Weekday)[1:6])


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Daily(_Part):
    """Once on each of ``days``, every day if that is null. ``at`` is ``HH:MM`` in the schedule's zone."""

    at: str
    days: list[Weekday] | None = None

    def value(self) -> values.Daily:
        days = frozenset(Weekday if self.days is None else self.days)
        kind = {frozenset(Weekday): DailyKind.EVERYDAY, _WORKING: DailyKind.WEEK_DAYS}
        return values.Daily(_time(self.at), kind.get(days, DailyKind.SELECTED_DAYS), days)


class Monthly(_Part):
    """Once in each of ``months``, every month if that is null: on the day ``day``, or the ``weekday`` of ``week``."""

    at: str
    day: int | None = None
    week: WeekInMonth | None = None
    weekday: Weekday | None = None
    months: list[Month] | None = None

    def value(self) -> values.Monthly:
        at, months = _time(self.at), frozenset(Month if self.months is None else self.months)
        if self.day is not None and self.week is None and self.weekday is None:
            return values.Monthly(at, WeekInMonth.ON_DAY, day=self.day, months=months)
        if self.day is None and self.week not in (None, WeekInMonth.ON_DAY) and self.weekday is not None:
            return values.Monthly(at, self.week, self.weekday, months=months)
        raise InvalidInput(
            "a monthly schedule names either a day or a week and a weekday",
            hint='Write "day": 15, or "week": "Last" and "weekday": "Sunday".',
        )


class Periodic(_Part):
    """Every so many hours or minutes from midnight on, while the hour is open; always if ``hours`` is null."""

    every: int
    unit: PeriodKind = PeriodKind.HOURS
    hours: OpenHours | None = None


class Continuous(_Part):
    """Again as soon as it has ended, while the hour is open; always if ``hours`` is null."""

    hours: OpenHours | None = None


class Retry(_Part):
    times: int = 3
    wait_minutes: int = 10


class Schedule(_Part):
    """One of ``daily``, ``monthly``, ``periodic``, ``continuous`` and ``after_job_id``.

    zone: an IANA name such as Europe/Berlin, or an offset. window: when runs may go on; always if null. retry: null if
    a failed run is left alone. enabled: whether the job runs by it.
    """

    zone: str = "UTC"
    enabled: bool = True
    daily: Daily | None = None
    monthly: Monthly | None = None
    periodic: Periodic | None = None
    continuous: Continuous | None = None
    after_job_id: UUID | None = None
    retry: Retry | None = None
    window: OpenHours | None = None

    def value(self) -> values.Schedule:
        """Raises InvalidInput."""
        periodic, continuous, retry = self.periodic, self.continuous, self.retry
        return values.Schedule(
            self.zone,
            daily=self.daily.value() if self.daily else None,
            monthly=self.monthly.value() if self.monthly else None,
            periodic=values.Periodic(periodic.unit, periodic.every, _hours(periodic.hours))
            if periodic
            else None,
            continuous=values.Continuous(_hours(continuous.hours)) if continuous else None,
            after_job=self.after_job_id,
            retry=values.Retry(retry.times, retry.wait_minutes) if retry else None,
            window=None if self.window is None else _hours(self.window),
        )


def shown(schedule: values.Schedule, *, enabled: bool) -> Schedule:
    """The value as the API writes it."""
    daily, monthly, periodic = schedule.daily, schedule.monthly, schedule.periodic
    retry = schedule.retry
    return Schedule(
        zone=schedule.zone,
        enabled=enabled,
        daily=Daily(f"{daily.at:%H:%M}", _shown_days(daily)) if daily else None,
        monthly=_shown_monthly(monthly) if monthly else None,
        periodic=Periodic(periodic.every, periodic.kind, _shown_hours(periodic.hours)) if periodic else None,
        continuous=Continuous(_shown_hours(schedule.continuous.hours)) if schedule.continuous else None,
        after_job_id=schedule.after_job,
        retry=Retry(retry.times, retry.wait_minutes) if retry else None,
        window=_shown_hours(schedule.window) if schedule.window else None,
    )


def _shown_days(daily: values.Daily) -> list[Weekday] | None:
    if daily.kind is DailyKind.EVERYDAY:
        return None
    days = _WORKING if daily.kind is DailyKind.WEEK_DAYS else daily.days
    return [day for day in Weekday if day in days]


def _shown_monthly(monthly: values.Monthly) -> Monthly:
    months = None if monthly.months == set(Month) else [each for each in Month if each in monthly.months]
    at = f"{monthly.at:%H:%M}"
    if monthly.week is WeekInMonth.ON_DAY:
        return Monthly(at, monthly.day, months=months)
    return Monthly(at, None, monthly.week, monthly.weekday, months)


def _shown_hours(hours: Hours) -> OpenHours | None:
    if hours == Hours():
        return None
    found = {
        day: [hour for hour in range(24) if bits >> hour & 1]
        for day, bits in zip(Weekday, hours.open, strict=True)
    }
    return {day: open_hours for day, open_hours in found.items() if open_hours}


def _hours(given: OpenHours | None) -> Hours:
    if given is None:
        return Hours()
    for day, hours in given.items():
        wrong = [hour for hour in hours if not 0 <= hour < 24]
        if wrong:
            raise InvalidInput(f"{day} has no hour {wrong[0]}", hint="Hours are 0 to 23.")
    return Hours(tuple(sum(1 << hour for hour in set(given.get(day, ()))) for day in Weekday))


def _time(text: str) -> time:
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is not a time of day", hint="Write it as HH:MM, such as 22:00.")
    return time(int(match[1]), int(match[2]))
