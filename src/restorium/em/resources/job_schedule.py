"""A job's schedule as JobScheduleOptions, to show and to read.

The interface knows hours of a day with an offset from UTC, no named zones. A schedule in a named zone is shown with the
offset that its next run has; whoever sends that back leaves the zone as it is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, time, timedelta

from restorium.catalog import schedules
from restorium.catalog.listing import Row
from restorium.em.bodies import Field, Spec, boolean
from restorium.em.call import View
from restorium.em.documents import Collection, Resource
from restorium.em.shapes import Child, Listed, Shape
from restorium.em.values import BOOLEAN, INTEGER, TEXT, enumeration, uid
from restorium.vocabulary.schedule import (
    DailyKind,
    Hours,
    Month,
    PeriodKind,
    Schedule,
    Weekday,
    WeekInMonth,
    zone_of,
)

_TIME = re.compile(r"(\d\d):(\d\d)(?::00(?:\.0{1,7})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_OPEN, _CLOSED = "0", "1"
"""Of an hour, as the interface writes them: 0 is permitted, 1 is denied."""
_HOURS = ",".join(_OPEN * 24)

_Time = tuple[time, str | None]
_DAY_SHAPE = Shape("Day", (Child("Name", enumeration(Weekday)),), text=TEXT, type="HoursOfDayType")
_HOURS_LIST = Listed("Schedule", (_DAY_SHAPE,), key="Days", type="HoursType")
_PERIODS_LIST = replace(_HOURS_LIST, name="TimePeriods")
_AT_SHAPE = (Child("Time", TEXT), Child("TimeOffsetUtc", INTEGER))


def _block(name: str, *members: Child) -> Shape:
    """A way to run, which has nothing else where it is not enabled."""
    return Shape(name, (Child("Enabled", BOOLEAN),), tuple(replace(each, required=False) for each in members))


_BLOCKS = (
    _block(
        "OptionsDaily",
        Child("Kind", enumeration(DailyKind)),
        Child("Days", enumeration(Weekday), many="Days"),
        *_AT_SHAPE,
    ),
    _block(
        "OptionsMonthly",
        *_AT_SHAPE,
        Child("DayNumberInMonth", enumeration(WeekInMonth)),
        Child("DayOfWeek", enumeration(Weekday)),
        Child("Months", enumeration(Month), many="Months"),
        Child("DayOfMonth", INTEGER),
    ),
    _block(
        "OptionsPeriodically",
        Child("Kind", enumeration(PeriodKind)),
        Child("FullPeriod", INTEGER),
        Child("Schedule", _HOURS_LIST),
    ),
    _block("OptionsContinuous", Child("Schedule", _HOURS_LIST)),
    _block("OptionsBackupWindow", Child("TimePeriods", _PERIODS_LIST)),
    _block("OptionsDaisyChaining", Child("PreviousJobUid", uid("Job"))),
)
_RETRY = Shape(
    "RetryOptions",
    members=(
        Child("RetryTimes", INTEGER, required=False),
        Child("RetryTimeout", INTEGER, required=False),
        Child("RetrySpecified", BOOLEAN),
    ),
)
_STANDART = Shape(
    "Standart",
    members=(
        Child("RetryOptions", _RETRY),
        Child("WaitForBackupCompletion", BOOLEAN),
        *(Child(each.name, each) for each in _BLOCKS),
    ),
)
OPTIONS = Shape("JobScheduleOptions", members=(Child("Standart", _STANDART),))


def shown(job: Row, _view: View) -> Resource:
    """JobScheduleOptions with its six ways to run, of which one at most is enabled."""
    schedule = schedules.of(job)
    retry = schedule.retry if schedule else None
    blocks = _blocks(schedule, job) if schedule else {}
    return OPTIONS.made(
        Standart=_STANDART.made(
            RetryOptions=_RETRY.made(
                RetryTimes=retry.times if retry else None,
                RetryTimeout=retry.wait_minutes if retry else None,
                RetrySpecified=retry is not None,
            ),
            WaitForBackupCompletion=False,
            **{
                each.name: each.made(Enabled=each.name in blocks, **blocks.get(each.name, {}))
                for each in _BLOCKS
            },
        )
    )


def _blocks(schedule: Schedule, job: Row) -> dict[str, dict[str, object]]:
    """What the enabled blocks hold, by their names."""
    found: dict[str, dict[str, object]] = {}
    if daily := schedule.daily:
        days = sorted(daily.days, key=list(Weekday).index)
        found["OptionsDaily"] = {"Kind": daily.kind, "Days": days, **_time(schedule, daily.at, job)}
    if monthly := schedule.monthly:
        found["OptionsMonthly"] = {
            **_time(schedule, monthly.at, job),
            "DayNumberInMonth": monthly.week,
            "DayOfWeek": monthly.weekday,
            "Months": sorted(monthly.months, key=list(Month).index),
            "DayOfMonth": monthly.day,
        }
    if periodic := schedule.periodic:
        hours = _hours(_HOURS_LIST, periodic.hours)
        found["OptionsPeriodically"] = {
            "Kind": periodic.kind,
            "FullPeriod": periodic.every,
            "Schedule": hours,
        }
    if continuous := schedule.continuous:
        found["OptionsContinuous"] = {"Schedule": _hours(_HOURS_LIST, continuous.hours)}
    if schedule.window:
        found["OptionsBackupWindow"] = {"TimePeriods": _hours(_PERIODS_LIST, schedule.window)}
    if schedule.after_job:
        found["OptionsDaisyChaining"] = {"PreviousJobUid": schedule.after_job}
    return found


def _time(schedule: Schedule, at: time, job: Row) -> dict[str, object]:
    offset = offset_of(schedule, job)
    seconds = int(offset[0] + "1") * (int(offset[1:3]) * 3600 + int(offset[4:]) * 60)
    return {"Time": f"{at:%H:%M}:00.0000000{offset}", "TimeOffsetUtc": seconds}


def offset_of(schedule: Schedule, job: Row) -> str:
    """What the schedule's zone is shown as: its offset at the job's next run, such as ``+01:00``."""
    return _offset_at(schedule, job.next_run or job.created_at)


def offsets_of(schedule: Schedule, job: Row) -> set[str]:
    """Every offset that the schedule's zone has in the half year before the job's next run and in that after it."""
    around = job.next_run or job.created_at
    return {_offset_at(schedule, around + weeks * timedelta(weeks=1)) for weeks in range(-26, 27)}


def _offset_at(schedule: Schedule, moment: datetime) -> str:
    offset = moment.astimezone(zone_of(schedule.zone)).utcoffset()
    return written_offset(0 if offset is None else int(offset.total_seconds()))


def written_offset(seconds: int) -> str:
    """An offset from UTC in seconds as ``+01:00``."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _hours(listed: Listed, hours: Hours) -> Collection:
    return listed.made(
        _DAY_SHAPE.made(Name=day, Value=_written_hours(bits))
        for day, bits in zip(Weekday, hours.open, strict=True)
    )


def _written_hours(bits: int) -> str:
    return ",".join(_OPEN if bits >> hour & 1 else _CLOSED for hour in range(24))


def _read_integer(value: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
        raise ValueError(value)
    return int(value)


integer = replace(INTEGER, read=_read_integer)
"""A number that fits into the database."""


def _read_time(value: str) -> _Time:
    match = _TIME.fullmatch(value.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError("a time such as 22:00:00.0000000+01:00")
    offset = "+00:00" if match[3] == "Z" else match[3]
    return time(int(match[1]), int(match[2])), offset


def _read_hours(value: str) -> int:
    written = value.replace(" ", "").strip().split(",")
    if len(written) != 24 or not set(written) <= {_OPEN, _CLOSED}:
        raise ValueError(f"24 hours such as {_HOURS}, 0 where the job may run")
    return sum(1 << hour for hour, each in enumerate(written) if each == _OPEN)


_ENABLED = (Field("Enabled", boolean),)
_DAY = Spec("Day", attributes=(Field("Name", enumeration(Weekday)),), text=Field("Value", _read_hours))
_SCHEDULE = Spec("Schedule", (Field("Day", _DAY, many="Days"),))
_PERIODS = Spec("TimePeriods", (Field("Day", _DAY, many="Days"),))
_AT = (Field("Time", _read_time), Field("TimeOffsetUtc", integer))
_STANDARD = (
    Field(
        "RetryOptions",
        Spec(
            "RetryOptions",
            (Field("RetryTimes", integer), Field("RetryTimeout", integer), Field("RetrySpecified", boolean)),
        ),
    ),
    Field("WaitForBackupCompletion", boolean),
    Field("BackupCompetitionWaitingPeriodMin", integer),
    Field(
        "OptionsDaily",
        Spec(
            "OptionsDaily",
            (
                Field("Kind", enumeration(DailyKind)),
                Field("Days", enumeration(Weekday), many="Days"),
                *_AT,
            ),
            attributes=_ENABLED,
        ),
    ),
    Field(
        "OptionsMonthly",
        Spec(
            "OptionsMonthly",
            (
                *_AT,
                Field("DayNumberInMonth", enumeration(WeekInMonth)),
                Field("DayOfWeek", enumeration(Weekday)),
                Field("Months", enumeration(Month), many="Months"),
                Field("DayOfMonth", integer),
            ),
            attributes=_ENABLED,
        ),
    ),
    Field(
        "OptionsPeriodically",
        Spec(
            "OptionsPeriodically",
            (
                Field("Kind", enumeration(PeriodKind)),
                Field("FullPeriod", integer),
                Field("Schedule", _SCHEDULE),
            ),
            attributes=_ENABLED,
        ),
    ),
    Field(
        "OptionsContinuous",
        Spec("OptionsContinuous", (Field("Schedule", _SCHEDULE),), attributes=_ENABLED),
    ),
    Field(
        "OptionsBackupWindow",
        Spec("OptionsBackupWindow", (Field("TimePeriods", _PERIODS),), attributes=_ENABLED),
    ),
    Field(
        "OptionsDaisyChaining",
        Spec(
            "OptionsDaisyChaining",
            (Field("PreviousJobUid", lambda value: uid("Job").read(value.strip())),),
            attributes=_ENABLED,
        ),
    ),
)
BODY = Spec("JobScheduleOptions", (Field("Standart", Spec("Standart", _STANDARD)), *_STANDARD))
"""Clients send the options inside Standart or, as older releases had them, without it."""
