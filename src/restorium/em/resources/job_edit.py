"""Editing a job: its name, description, schedule and retention.

A client may send all of a job, as it was given it, or only what is to change; what it cannot change is read over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from typing import Any

from restorium.catalog import jobs, schedules
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, Values, boolean, text
from restorium.em.call import Answer, Call
from restorium.em.resources import job_retention, job_schedule
from restorium.em.tasks import Started
from restorium.flows import jobs as flows
from restorium.flows.jobs import Changes
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.schedule import (
    Continuous,
    Daily,
    Hours,
    Monthly,
    Periodic,
    Retry,
    Schedule,
    Weekday,
)

_ALWAYS = Hours()
_INFO = Spec(
    "BackupJobInfo",
    (
        *(Field(name, None) for name in ("Includes", "GuestProcessingOptions", "AdvancedStorageOptions")),
        *job_retention.BODY,
    ),
)
BODY = Spec(
    "Job",
    (
        *(Field(name, None) for name in ("Links", "JobType", "Platform")),
        Field("Description", str),
        Field("ScheduleConfigured", boolean),
        Field("ScheduleEnabled", boolean),
        Field("NextRun", None),
        Field("JobScheduleOptions", job_schedule.BODY),
        Field("JobInfo", Spec("JobInfo", (Field("BackupJobInfo", _INFO),))),
    ),
    attributes=(*(Field(name, None) for name in ("Href", "Type", "UID")), Field("Name", text)),
)
_WAYS = ("OptionsDaily", "OptionsMonthly", "OptionsPeriodically", "OptionsContinuous", "OptionsDaisyChaining")


def edit(call: Call, job: Row) -> Answer:
    """Change what the body says. A body that cannot be understood is refused at once, and nothing is changed."""
    asked = call.body
    if asked is None:
        raise InvalidInput("the body is missing", hint="Send a Job with what is to change.")
    info = asked.get("JobInfo", {}).get("BackupJobInfo", {})
    configured = asked.get("ScheduleConfigured")
    schedule = None
    if "JobScheduleOptions" in asked and configured is not False:
        schedule = _schedule(asked["JobScheduleOptions"], job)
        if schedule is None and schedules.of(job) is not None:
            configured = False
    changes = Changes(
        name=asked.get("Name"),
        description=asked.get("Description"),
        configured=configured,
        enabled=asked.get("ScheduleEnabled"),
        schedule=schedule,
        retention=job_retention.read(info, jobs.retention_of(job)),
    )

    def start() -> Started:
        flows.edit(call.engine, job.id, changes)
        return Started("Job", job.id, changes.name or job.name, "Job has been edited")

    return tasks.run(call, "EditJob", start)


def _schedule(options: Values, job: Row) -> Schedule | None:
    """The schedule that the options make of the present one; None if no way to run is enabled any more."""
    asked: Values = options.get("Standart", options)
    present = schedules.of(job)
    if asked.get("WaitForBackupCompletion"):
        raise Unsupported("WaitForBackupCompletion is not offered by this server", hint="Set it to false.")
    enabled = [name for name in _WAYS if asked.get(name, {}).get("Enabled", name in asked)]
    if len(enabled) > 1:
        raise InvalidInput(f"{' and '.join(enabled)} are enabled together", hint="Enable one of them.")
    if enabled:
        made = _way(enabled[0], asked[enabled[0]], present, job)
    elif present is None or _way_of(present) in asked:
        return None
    else:
        made = present
    retry, window = (
        made.retry if present is None else present.retry,
        None if present is None else present.window,
    )
    if "RetryOptions" in asked:
        retry = _retry(asked["RetryOptions"], retry)
    if "OptionsBackupWindow" in asked:
        block = asked["OptionsBackupWindow"]
        window = _hours(block.get("TimePeriods"), window) if block.get("Enabled", True) else None
    return replace(made, retry=retry, window=window)


def _way_of(schedule: Schedule) -> str:
    ways = (schedule.daily, schedule.monthly, schedule.periodic, schedule.continuous, schedule.after_job)
    return next(name for name, way in zip(_WAYS, ways, strict=True) if way is not None)


def _way(name: str, asked: Values, present: Schedule | None, job: Row) -> Schedule:
    """The enabled way; what of it is left out is as it was, or as usual."""
    zone = present.zone if present else "UTC"
    match name:
        case "OptionsDaily":
            daily = (present.daily if present else None) or Daily(time(22))
            at, zone = _at(asked, daily.at, present, job)
            days = frozenset(asked.get("Days", daily.days))
            return Schedule(zone, daily=Daily(at, asked.get("Kind", daily.kind), days))
        case "OptionsMonthly":
            monthly = (present.monthly if present else None) or Monthly(time(22))
            at, zone = _at(asked, monthly.at, present, job)
            return Schedule(
                zone,
                monthly=Monthly(
                    at,
                    asked.get("DayNumberInMonth", monthly.week),
                    asked.get("DayOfWeek", monthly.weekday),
                    asked.get("DayOfMonth", monthly.day),
                    frozenset(asked.get("Months", monthly.months)),
                ),
            )
        case "OptionsPeriodically":
            periodic = (present.periodic if present else None) or Periodic()
            return Schedule(
                zone,
                periodic=Periodic(
                    asked.get("Kind", periodic.kind),
                    asked.get("FullPeriod", periodic.every),
                    _hours(asked.get("Schedule"), periodic.hours),
                ),
            )
        case "OptionsContinuous":
            continuous = (present.continuous if present else None) or Continuous()
            return Schedule(zone, continuous=Continuous(_hours(asked.get("Schedule"), continuous.hours)))
        case _:
            after = asked.get("PreviousJobUid", present.after_job if present else None)
            if after is None:
                raise InvalidInput("PreviousJobUid is missing in OptionsDaisyChaining")
            return Schedule(zone, after_job=after)


def _at(asked: Values, present_at: time, present: Schedule | None, job: Row) -> tuple[time, str]:
    """Time of day and zone: the present zone where the offset is the one that is shown of it, or none is sent.

    A client may have read the job before the clocks were changed: another offset of the zone will do for the same time.
    """
    at, offset = asked.get("Time", (present_at, None))
    if offset is None and "TimeOffsetUtc" in asked:
        offset = job_schedule.written_offset(asked["TimeOffsetUtc"])
    if present is not None:
        now = job_schedule.offset_of(present, job)
        others = job_schedule.offsets_of(present, job) if at == present_at else set()
        if offset in {None, now, *others}:
            return at, present.zone
    return at, offset or "UTC"


def _retry(asked: Values, present: Retry | None) -> Retry | None:
    if not asked.get("RetrySpecified", bool({"RetryTimes", "RetryTimeout"} & asked.keys())):
        return None
    usual = present or Retry()
    return Retry(asked.get("RetryTimes", usual.times), asked.get("RetryTimeout", usual.wait_minutes))


def _hours(asked: Values | None, present: Hours | None) -> Hours:
    """The hours of the days that are named; those of the others are as they were."""
    open_hours = dict(zip(Weekday, (present or _ALWAYS).open, strict=True))
    for day in (asked or {}).get("Day", []):
        _require(day, "Name", "Value")
        open_hours[day["Name"]] = day["Value"]
    return Hours(tuple(open_hours.values()))


def _require(values: dict[str, Any], *names: str) -> None:
    for name in names:
        if name not in values:
            raise InvalidInput(f"{name} is missing in Day")
