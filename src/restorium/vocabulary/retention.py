"""How long a job's restore points are kept, and which rule keeps each.

Weeks run from Monday to Sunday; weeks, months and years are those of a time zone. The point that stands for one is the
first on or after its selected day, else the last before that. So the choice rests on what was chosen: removing all
others changes nothing, whether that is done after each run or once at the end.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.schedule import Month, Weekday

_MOST = 100_000
_MOST_PERIODS = 999
_WEEK = timedelta(days=7)


class RetainBy(StrEnum):
    """What a policy counts: restore points, or days."""

    CYCLES = "Cycles"
    DAYS = "Days"


class WeekOfMonth(StrEnum):
    """The days of a month from which its point is taken: from the first on, or the last seven."""

    FIRST = "First"
    LAST = "Last"


@dataclass(frozen=True, slots=True)
class KeepWeekly:
    """Keep a point of each week until it is so many weeks old, the one of ``day`` if there is one."""

    weeks: int
    day: Weekday = Weekday.SUNDAY

    def __post_init__(self) -> None:
        _check(self.weeks, "weeks")


@dataclass(frozen=True, slots=True)
class KeepMonthly:
    """Keep a point of each month until it is so many months old, the one of ``week`` if there is one."""

    months: int
    week: WeekOfMonth = WeekOfMonth.FIRST

    def __post_init__(self) -> None:
        _check(self.months, "months")


@dataclass(frozen=True, slots=True)
class KeepYearly:
    """Keep a point of each year until it is so many years old, the one of ``month`` if there is one."""

    years: int
    month: Month = Month.JANUARY

    def __post_init__(self) -> None:
        _check(self.years, "years")


@dataclass(frozen=True, slots=True)
class Gfs:
    """Grandfather, father and son: points of weeks, months and years that are kept beside the newest."""

    weekly: KeepWeekly | None = None
    monthly: KeepMonthly | None = None
    yearly: KeepYearly | None = None

    def __post_init__(self) -> None:
        if self.weekly is None and self.monthly is None and self.yearly is None:
            raise InvalidInput(
                "GFS retention keeps neither weekly nor monthly nor yearly points",
                hint="Say how many of one of them are kept, or leave GFS out.",
            )


@dataclass(frozen=True, slots=True)
class Retention:
    """Keep the newest ``points`` of each VM, or those of the last ``days``; the other number is only remembered.

    gfs: what is kept beside them.
    """

    by: RetainBy
    points: int
    days: int
    gfs: Gfs | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.points <= _MOST or not 1 <= self.days <= _MOST:
            raise InvalidInput(
                f"{self.points} restore points or {self.days} days cannot be kept",
                hint=f"Keep 1 to {_MOST} of either.",
            )


class Rule(StrEnum):
    """Why a point is kept."""

    NEWEST = "newest"
    POINTS = "points"
    DAYS = "days"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


def kept(
    moments: Sequence[datetime], policy: Retention, now: datetime, zone: tzinfo
) -> list[frozenset[Rule]]:
    """For each restore point of one VM, of these moments from the oldest on: the rules that keep it.

    One that no rule keeps may go. The newest is always kept.
    """
    rules: list[set[Rule]] = [set() for _ in moments]
    if not moments:
        return []
    rules[-1].add(Rule.NEWEST)
    if policy.by is RetainBy.CYCLES:
        for each in rules[-policy.points :]:
            each.add(Rule.POINTS)
    else:
        for each, moment in zip(rules, moments, strict=True):
            if now - moment <= timedelta(days=policy.days):
                each.add(Rule.DAYS)
    if policy.gfs is not None:
        local = [moment.astimezone(zone) for moment in moments]
        for rule, places in _gfs(local, policy.gfs, now.astimezone(zone)).items():
            for place in places:
                rules[place].add(rule)
    return [frozenset(each) for each in rules]


def _gfs(local: Sequence[datetime], gfs: Gfs, now: datetime) -> dict[Rule, list[int]]:
    """Places of the points that stand for a period and are not too old."""
    found: dict[Rule, list[int]] = {}
    days = [moment.date() for moment in local]
    if (weekly := gfs.weekly) is not None:
        day = list(Weekday).index(weekly.day) or 7
        chosen = _chosen(days, _week, lambda monday: monday + timedelta(days=day - 1))
        found[Rule.WEEKLY] = [place for place in chosen if now - local[place] < weekly.weeks * _WEEK]
    if (monthly := gfs.monthly) is not None:
        chosen = _chosen(days, _month, _last_week if monthly.week is WeekOfMonth.LAST else _itself)
        found[Rule.MONTHLY] = [place for place in chosen if now < _later(local[place], monthly.months)]
    if (yearly := gfs.yearly) is not None:
        number = list(Month).index(yearly.month) + 1
        chosen = _chosen(days, _year, lambda first: first.replace(month=number))
        found[Rule.YEARLY] = [place for place in chosen if now < _later(local[place], 12 * yearly.years)]
    return found


def _chosen(
    days: Sequence[date], period: Callable[[date], date], selected: Callable[[date], date]
) -> list[int]:
    """Of each period the place of the first day on or after its selected one, else of the last before that."""
    after: dict[date, int] = {}
    before: dict[date, int] = {}
    for place, day in enumerate(days):
        first = period(day)
        if day >= selected(first):
            after.setdefault(first, place)
        else:
            before[first] = place
    return list((before | after).values())


def _week(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


def _itself(first: date) -> date:
    return first


def _last_week(first: date) -> date:
    return first.replace(day=calendar.monthrange(first.year, first.month)[1] - 6)


def _later(moment: datetime, months: int) -> datetime:
    """So many months later, on the last day of a month that is too short."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(
        year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1])
    )


def _check(number: int, what: str) -> None:
    if not 1 <= number <= _MOST_PERIODS:
        raise InvalidInput(f"points cannot be kept for {number} {what}", hint=f"Write 1 to {_MOST_PERIODS}.")


class KeepFor(StrEnum):
    """When a backup of no job is to be removed, by the interface's names; Never: it stays."""

    NEVER = "Never"
    TONIGHT = "Tonight"
    TOMORROW_NIGHT = "TomorrowNight"
    IN_3_DAYS = "In3days"
    IN_1_WEEK = "In1Week"
    IN_2_WEEKS = "In2Weeks"
    IN_1_MONTH = "In1Month"
    IN_3_MONTHS = "In3Months"
    IN_6_MONTHS = "In6Months"
    IN_1_YEAR = "In1Year"
    IN_2_YEARS = "In2Years"
    IN_3_YEARS = "In3Years"
    IN_5_YEARS = "In5Years"
    IN_7_YEARS = "In7Years"

    def until(self, made_at: datetime) -> datetime | None:
        """The moment from which a backup made then may go; None: never.

        A night is the next midnight of UTC, or the one after it. Months end on their last day where they are shorter.
        """
        at = made_at.astimezone(UTC)
        if self in _NIGHTS:
            return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=_NIGHTS[self])
        if self in _DAYS:
            return at + timedelta(days=_DAYS[self])
        if self in _MONTHS:
            return _later(at, _MONTHS[self])
        return None


_NIGHTS = {KeepFor.TONIGHT: 1, KeepFor.TOMORROW_NIGHT: 2}
_DAYS = {KeepFor.IN_3_DAYS: 3, KeepFor.IN_1_WEEK: 7, KeepFor.IN_2_WEEKS: 14}
_MONTHS = {
    KeepFor.IN_1_MONTH: 1,
    KeepFor.IN_3_MONTHS: 3,
    KeepFor.IN_6_MONTHS: 6,
    KeepFor.IN_1_YEAR: 12,
    KeepFor.IN_2_YEARS: 24,
    KeepFor.IN_3_YEARS: 36,
    KeepFor.IN_5_YEARS: 60,
    KeepFor.IN_7_YEARS: 84,
}
