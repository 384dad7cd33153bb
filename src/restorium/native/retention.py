"""How long a job's restore points are kept, as the native API writes it, and as a value."""

from __future__ import annotations

import msgspec

from restorium.vocabulary import retention as values
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.retention import RetainBy, WeekOfMonth
from restorium.vocabulary.schedule import Month, Weekday

_USUAL = 14
"""Remembered for the way of counting that a policy does not use."""


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Weekly(_Part):
    """A point of each week for so many weeks, of ``day`` if there is one."""

    weeks: int
    day: Weekday = Weekday.SUNDAY


class Monthly(_Part):
    """A point of each month for so many months, from its first day on or from its last seven."""

    months: int
    week: WeekOfMonth = WeekOfMonth.FIRST


class Yearly(_Part):
    """A point of each year for so many years, from ``month`` on."""

    years: int
    month: Month = Month.JANUARY


class Retention(_Part):
    """The newest ``points`` of each VM, or those of the last ``days``; beside them those of weeks, months and years."""

    points: int | None = None
    days: int | None = None
    weekly: Weekly | None = None
    monthly: Monthly | None = None
    yearly: Yearly | None = None

    def value(self) -> values.Retention:
        """Raises InvalidInput."""
        if (self.points is None) == (self.days is None):
            raise InvalidInput(
                "a retention keeps either so many points or so many days",
                hint='Write "points": 14 or "days": 14.',
            )
        weekly, monthly, yearly = self.weekly, self.monthly, self.yearly
        gfs = None
        if weekly or monthly or yearly:
            gfs = values.Gfs(
                values.KeepWeekly(weekly.weeks, weekly.day) if weekly else None,
                values.KeepMonthly(monthly.months, monthly.week) if monthly else None,
                values.KeepYearly(yearly.years, yearly.month) if yearly else None,
            )
        if self.points is not None:
            return values.Retention(RetainBy.CYCLES, self.points, _USUAL, gfs)
        return values.Retention(RetainBy.DAYS, _USUAL, self.days or 0, gfs)


def shown(kept: values.Retention) -> Retention:
    """The value as the API writes it."""
    weekly, monthly, yearly = (
        (kept.gfs.weekly, kept.gfs.monthly, kept.gfs.yearly) if kept.gfs else (None, None, None)
    )
    return Retention(
        points=kept.points if kept.by is RetainBy.CYCLES else None,
        days=kept.days if kept.by is RetainBy.DAYS else None,
        weekly=Weekly(weekly.weeks, weekly.day) if weekly else None,
        monthly=Monthly(monthly.months, monthly.week) if monthly else None,
        yearly=Yearly(yearly.years, yearly.month) if yearly else None,
    )
