"""A job's schedule as JobScheduleOptions, to show and to read.

The interface knows hours of a day with an offset from UTC, no named zones. A schedule in a named zone is shown with the
offset that its next run has; whoever sends that back unchanged leaves the zone as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import time
from enum import StrEnum
from typing import TypeVar

from restorium.catalog import schedules
from restorium.catalog.listing import Row
from restorium.em.bodies import Field, Spec, boolean
from restorium.em.call import View
from restorium.em.documents import Collection, Member, Resource, Several
from restorium.em.values import enumeration, uid
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

E = TypeVar("E", bound=StrEnum)

_TIME = re.compile(r"(\d\d):(\d\d)(?::00(?:\.0{1,7})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_OPEN, _CLOSED = "0", "1"
"""Of an hour, as the interface writes them: 0 is permitted, 1 is denied."""
_HOURS = ",".join(_OPEN * 24)

_Time = tuple[time, str | None]


def shown(job: Row, _view: View) -> Resource:
    """JobScheduleOptions with its six ways to run, of which one at most is enabled."""
    return Resource("JobScheduleOptions", (), [("Standart", Resource("Standart", (), list(_parts(job))))])


def _parts(job: Row) -> Iterator[tuple[str, Member]]:
    schedule = schedules.of(job)
    retry = schedule.retry if schedule else None
    yield (
        "RetryOptions",
        Resource(
            "RetryOptions",
            (),
            [
                ("RetryTimes", retry.times if retry else None),
                ("RetryTimeout", retry.wait_minutes if retry else None),
                ("RetrySpecified", retry is not None),
            ],
        ),
    )
    yield "WaitForBackupCompletion", False
    daily = schedule.daily if schedule else None
    members: list[tuple[str, Member]] = []
    if schedule and daily:
        days = sorted(daily.days, key=list(Weekday).index)
        members = [("Kind", str(daily.kind)), ("Days", Several("Days", [str(day) for day in days]))]
        members += _time(schedule, daily.at, job)
    yield _block("OptionsDaily", members)
    monthly = schedule.monthly if schedule else None
    members = []
    if schedule and monthly:
        months = sorted(monthly.months, key=list(Month).index)
        members = [
            *_time(schedule, monthly.at, job),
            ("DayNumberInMonth", str(monthly.week)),
            ("DayOfWeek", str(monthly.weekday)),
            ("Months", Several("Months", [str(month) for month in months])),
            ("DayOfMonth", monthly.day),
        ]
    yield _block("OptionsMonthly", members)
    periodic = schedule.periodic if schedule else None
    members = []
    if periodic:
        members = [("Kind", str(periodic.kind)), ("FullPeriod", periodic.every)]
        members.append(("Schedule", _hours("Schedule", periodic.hours)))
    yield _block("OptionsPeriodically", members)
    continuous = schedule.continuous if schedule else None
    yield _block(
        "OptionsContinuous", [("Schedule", _hours("Schedule", continuous.hours))] if continuous else []
    )
    window = schedule.window if schedule else None
    yield _block("OptionsBackupWindow", [("TimePeriods", _hours("TimePeriods", window))] if window else [])
    after = schedule.after_job if schedule else None
    yield _block("OptionsDaisyChaining", [("PreviousJobUid", uid("Job").show(after))] if after else [])


def _block(name: str, members: list[tuple[str, Member]]) -> tuple[str, Resource]:
    return name, Resource(name, [("Enabled", bool(members))], members)


def _time(schedule: Schedule, at: time, job: Row) -> list[tuple[str, Member]]:
    offset = offset_of(schedule, job)
    seconds = int(offset[0] + "1") * (int(offset[1:3]) * 3600 + int(offset[4:]) * 60)
    return [("Time", f"{at:%H:%M}:00.0000000{offset}"), ("TimeOffsetUtc", seconds)]


def offset_of(schedule: Schedule, job: Row) -> str:
    """What the schedule's zone is shown as: its offset at the job's next run, such as ``+01:00``."""
    offset = (job.next_run or job.created_at).astimezone(zone_of(schedule.zone)).utcoffset()
    return written_offset(0 if offset is None else int(offset.total_seconds()))


def written_offset(seconds: int) -> str:
    """An offset from UTC in seconds as ``+01:00``."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _hours(name: str, hours: Hours) -> Collection:
    return Collection(
        name,
        "Days",
        [
            Resource("Day", [("Name", str(day))], text=_written_hours(bits))
            for day, bits in zip(Weekday, hours.open, strict=True)
        ],
    )


def _written_hours(bits: int) -> str:
    return ",".join(_OPEN if bits >> hour & 1 else _CLOSED for hour in range(24))


def member_of(kind: type[E]) -> Callable[[str], E]:
    """Reads a member of an enumeration by its name."""
    codec = enumeration(kind)

    def read(value: str) -> E:
        try:
            member: E = codec.read(value.strip())
        except ValueError:
            raise ValueError(codec.expected) from None
        return member

    return read


def integer(value: str) -> int:
    """A number that fits into the database."""
    if not re.fullmatch(r"-?\d{1,9}", value.strip(), re.ASCII):
        raise ValueError("a whole number")
    return int(value)


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
_DAY = Spec("Day", attributes=(Field("Name", member_of(Weekday)),), text=Field("Value", _read_hours))
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
                Field("Kind", member_of(DailyKind)),
                Field("Days", member_of(Weekday), many="Days"),
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
                Field("DayNumberInMonth", member_of(WeekInMonth)),
                Field("DayOfWeek", member_of(Weekday)),
                Field("Months", member_of(Month), many="Months"),
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
                Field("Kind", member_of(PeriodKind)),
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
