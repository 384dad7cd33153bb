"""When a job runs by itself: a value that tells its next run, and knows no clock.

Times of day are those of the schedule's zone. A time that a change of the clocks leaves out is as much later as the
clocks are put forward; one that comes twice counts the first time. Runs that fall into closed hours of the backup
window are put off until it opens, all of them to one.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

from restorium.vocabulary.errors import InvalidInput


class Weekday(StrEnum):
    SUNDAY = "Sunday"
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"


class Month(StrEnum):
    JANUARY = "January"
    FEBRUARY = "February"
    MARCH = "March"
    APRIL = "April"
    MAY = "May"
    JUNE = "June"
    JULY = "July"
    AUGUST = "August"
    SEPTEMBER = "September"
    OCTOBER = "October"
    NOVEMBER = "November"
    DECEMBER = "December"


class DailyKind(StrEnum):
    EVERYDAY = "Everyday"
    WEEK_DAYS = "WeekDays"
    SELECTED_DAYS = "SelectedDays"


class PeriodKind(StrEnum):
    HOURS = "Hours"
    MINUTES = "Minutes"


class WeekInMonth(StrEnum):
    """Which weekday of a month is meant; ``ON_DAY``: none, but a day by its number."""

    FIRST = "First"
    SECOND = "Second"
    THIRD = "Third"
    FOURTH = "Fourth"
    LAST = "Last"
    ON_DAY = "OnDay"


_DAYS, _MONTHS = tuple(Weekday), tuple(Month)
_WORKING = frozenset(_DAYS[1:6])
_DAY = timedelta(days=1)
_QUARTER = timedelta(minutes=15)
"""All zones are whole quarters of an hour away from UTC, so hours open and close on these only."""
_WEEKS_OF_QUARTERS = 15 * 96
_MINUTES_A_DAY = 1440
_OFFSET = re.compile(r"([+-])(\d\d):(00|15|30|45)", re.ASCII)


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """The zone ``Europe/Berlin``, ``UTC`` or ``+01:00``. Raises InvalidInput."""
    match = _OFFSET.fullmatch(name)
    if match and int(match[2]) < 15:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        hint = "Write a name such as Europe/Berlin, or an offset such as +01:00."
        raise InvalidInput(f"there is no time zone {name!r}", hint=hint) from None


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of a week that are open: for each day from Sunday on a number whose bit ``n`` is its hour ``n``."""

    open: tuple[int, ...] = (0xFFFFFF,) * 7

    def __post_init__(self) -> None:
        if len(self.open) != len(_DAYS) or any(not 0 <= day < 1 << 24 for day in self.open):
            raise InvalidInput("the hours of a week are 24 for each of its seven days")
        if not any(self.open):
            raise InvalidInput("no hour of the week is open", hint="Open at least one.")

    def contains(self, local: datetime) -> bool:
        return bool(self.open[local.isoweekday() % 7] >> local.hour & 1)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once on each of its days. ``days`` count for SelectedDays only."""

    at: time
    kind: DailyKind = DailyKind.EVERYDAY
    days: frozenset[Weekday] = frozenset(_DAYS)

    def __post_init__(self) -> None:
        if self.kind is DailyKind.SELECTED_DAYS and not self.days:
            raise InvalidInput("a schedule of selected days selects none")

    def runs(self, local: datetime, zone: tzinfo) -> Iterator[datetime]:
        days = {DailyKind.EVERYDAY: frozenset(_DAYS), DailyKind.WEEK_DAYS: _WORKING}.get(self.kind, self.days)
        for number in count(-1):
            day = local.date() + number * _DAY
            if _DAYS[day.isoweekday() % 7] in days:
                yield _instant(day, self.at, zone)


@dataclass(frozen=True, slots=True)
class Monthly:
    """Once in each of its months: on a weekday, or on a day by number, which is the last one of shorter months."""

    at: time
    week: WeekInMonth = WeekInMonth.FOURTH
    weekday: Weekday = Weekday.SATURDAY
    day: int = 1
    months: frozenset[Month] = frozenset(_MONTHS)

    def __post_init__(self) -> None:
        if not self.months:
            raise InvalidInput("a monthly schedule names no month")
        if not 1 <= self.day <= 31:
            raise InvalidInput(f"{self.day} is not the day of a month")

    def runs(self, local: datetime, zone: tzinfo) -> Iterator[datetime]:
        first = local.year * 12 + local.month - 2
        for number in count(first):
            year, month = divmod(number, 12)
            if _MONTHS[month] in self.months:
                yield _instant(self._day_of(year, month + 1), self.at, zone)

    def _day_of(self, year: int, month: int) -> date:
        days = calendar.monthrange(year, month)[1]
        if self.week is WeekInMonth.ON_DAY:
            return date(year, month, min(self.day, days))
        wanted = _DAYS.index(self.weekday)
        start = date(year, month, days - 6 if self.week is WeekInMonth.LAST else 1)
        later = (wanted - start.isoweekday()) % 7
        weeks = 0 if self.week is WeekInMonth.LAST else list(WeekInMonth).index(self.week)
        return start + (later + 7 * weeks) * _DAY


@dataclass(frozen=True, slots=True)
class Periodic:
    """Every so many hours or minutes from each midnight on, at most a day, while the hour is open."""

    kind: PeriodKind = PeriodKind.HOURS
    every: int = 1
    hours: Hours = Hours()

    def __post_init__(self) -> None:
        if not 1 <= self._minutes <= _MINUTES_A_DAY:
            hint = "Write 1 to 24 hours, or 1 to 1440 minutes."
            raise InvalidInput(f"a job cannot run every {self.every} {self.kind.lower()}", hint=hint)
        begin = {minute // 60 for minute in range(0, _MINUTES_A_DAY, self._minutes)}
        if not any(day >> hour & 1 for day in self.hours.open for hour in begin):
            raise InvalidInput("none of the periods begins in an open hour", hint="Open more hours.")

    @property
    def _minutes(self) -> int:
        return self.every * (60 if self.kind is PeriodKind.HOURS else 1)

    def runs(self, local: datetime, zone: tzinfo) -> Iterator[datetime]:
        step = timedelta(minutes=self._minutes)
        after = local.astimezone(UTC)
        for number in count(-1):
            day = local.date() + number * _DAY
            start, end = _instant(day, time(), zone), _instant(day + _DAY, time(), zone)
            run = start + max(0, (after - start) // step) * step
            while run < end:
                if self.hours.contains(run.astimezone(zone)):
                    yield run
                run += step


@dataclass(frozen=True, slots=True)
class Continuous:
    """Again as soon as it has ended, at the next whole minute, while the hour is open."""

    hours: Hours = Hours()

    def runs(self, local: datetime, zone: tzinfo) -> Iterator[datetime]:
        return Periodic(PeriodKind.MINUTES, 1, self.hours).runs(local, zone)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a run that failed is tried again, and how many minutes later."""

    times: int = 3
    wait_minutes: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.times <= 1000 or not 0 <= self.wait_minutes <= 100_000:
            raise InvalidInput(
                f"a job cannot be retried {self.times} times after {self.wait_minutes} minutes"
            )


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to run by itself: by one of the first four, or after the job ``after_job``.

    window: when runs may go on; None if always. retry: None if a failed run is left alone.
    """

    zone: str = "UTC"
    daily: Daily | None = None
    monthly: Monthly | None = None
    periodic: Periodic | None = None
    continuous: Continuous | None = None
    after_job: UUID | None = None
    retry: Retry | None = None
    window: Hours | None = None

    def __post_init__(self) -> None:
        zone_of(self.zone)
        ways = (self.daily, self.monthly, self.periodic, self.continuous, self.after_job)
        if sum(way is not None for way in ways) != 1:
            hint = "Enable one of daily, monthly, periodically, continuous and after another job."
            raise InvalidInput("a schedule says in exactly one way when the job runs", hint=hint)

    def next_run(self, after: datetime) -> datetime | None:
        """The first run later than ``after``, in UTC; None for what only another job starts."""
        if self.is_open(after):
            return self.opening(self._due(after))
        closed = _floor(after)
        while not self.is_open(closed - _QUARTER):
            closed -= _QUARTER
        return self.opening(self._due(closed - timedelta(microseconds=1)))

    def is_open(self, moment: datetime) -> bool:
        """Whether the backup window lets a job run then."""
        return self.window is None or self.window.contains(moment.astimezone(zone_of(self.zone)))

    def opening(self, moment: datetime | None) -> datetime | None:
        """``moment``, or when the backup window opens next if it is closed then."""
        if moment is None or self.is_open(moment):
            return moment
        return next(
            opened
            for number in range(1, _WEEKS_OF_QUARTERS)
            if self.is_open(opened := _floor(moment) + number * _QUARTER)
        )

    def _due(self, after: datetime) -> datetime | None:
        """The first run later than ``after`` if there were no window."""
        way = self.daily or self.monthly or self.periodic or self.continuous
        if way is None:
            return None
        zone = zone_of(self.zone)
        return next(run for run in way.runs(after.astimezone(zone), zone) if run > after)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


def _floor(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
