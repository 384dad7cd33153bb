"""Schedules: what they must say of any moment, and what they say of the moments that are hard."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.schedule import (
    Continuous,
    Daily,
    DailyKind,
    Hours,
    Month,
    Monthly,
    Periodic,
    PeriodKind,
    Retry,
    Schedule,
    Weekday,
    WeekInMonth,
    zone_of,
)

NEW_YORK, BERLIN, LORD_HOWE = "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"
NIGHT = Hours((0b111111 | 0b11 << 22,) * 7)
"""22:00 to 06:00."""
_MINUTE = timedelta(minutes=1)

zones = st.sampled_from(
    [NEW_YORK, BERLIN, LORD_HOWE, "UTC", "+05:45", "-03:30", "Pacific/Apia", "Asia/Kolkata"]
)
moments = st.datetimes(datetime(1999, 1, 1), datetime(2101, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  as it asks for
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
hours = st.builds(
    Hours, st.tuples(*[st.sampled_from([0, 0xFFFFFF, 0b111111, 1 << 13])] * 7).filter(lambda days: any(days))
)
ways = st.one_of(
    st.builds(
        lambda at, kind, days: {"daily": Daily(at, kind, days)},
        times,
        st.sampled_from(DailyKind),
        st.frozensets(st.sampled_from(Weekday), min_size=1),
    ),
    st.builds(
        lambda at, week, weekday, day, months: {"monthly": Monthly(at, week, weekday, day, months)},
        times,
        st.sampled_from(WeekInMonth),
        st.sampled_from(Weekday),
        st.integers(1, 31),
        st.frozensets(st.sampled_from(Month), min_size=1),
    ),
    st.builds(
        lambda kind, every, open_hours: {"periodic": Periodic(kind, every, open_hours)},
        st.just(PeriodKind.HOURS),
        st.integers(1, 24),
        st.just(Hours()),
    ),
    st.builds(
        lambda every, open_hours: {"periodic": Periodic(PeriodKind.MINUTES, every, open_hours)},
        st.sampled_from([5, 7, 15, 60]),
        hours,
    ),
    st.just({"continuous": Continuous()}),
)
schedules = st.builds(
    lambda way, zone, window: Schedule(zone=zone, window=window, **way), ways, zones, st.none() | hours
)


@given(schedules, moments)
def test_next_run_is_later_and_nothing_lies_between(schedule: Schedule, after: datetime) -> None:
    run = schedule.next_run(after)
    assert run is not None and run > after and schedule.is_open(run)
    between = after + (run - after) / 2
    assert schedule.next_run(between) == run
    assert schedule.next_run(run - timedelta(microseconds=1)) == run


@given(schedules, moments)
def test_runs_go_on_for_good(schedule: Schedule, after: datetime) -> None:
    for _ in range(3):
        run = schedule.next_run(after)
        assert run is not None and run > after
        after = run


@given(ways, zones, moments, hours)
def test_window_only_puts_runs_off(way: dict[str, object], zone: str, after: datetime, window: Hours) -> None:
    """The first run with a window is when the window is first open at or after the first run without one."""
    free = Schedule(zone=zone, **way)  # type: ignore[arg-type]
    bound = Schedule(zone=zone, window=window, **way)  # type: ignore[arg-type]
    wished, run = free.next_run(after), bound.next_run(after)
    assert wished is not None and run is not None
    if bound.is_open(after):
        assert run == bound.opening(wished)
    else:
        assert run <= (bound.opening(wished) or run)


@given(times, zones, moments)
@example(time(2, 30), NEW_YORK, datetime(2031, 3, 9, 0, 0, tzinfo=UTC))
@example(time(1, 30), NEW_YORK, datetime(2031, 11, 2, 0, 0, tzinfo=UTC))
def test_daily_run_is_once_on_each_day(at: time, zone: str, after: datetime) -> None:
    schedule = Schedule(zone=zone, daily=Daily(at))
    run = schedule.next_run(after)
    assert run is not None
    following = schedule.next_run(run)
    assert following is not None
    assert timedelta(hours=22) <= following - run <= timedelta(hours=26)
    local = run.astimezone(zone_of(zone)).replace(tzinfo=None)
    assert local.time() == at or local - datetime.combine(local.date(), at) <= timedelta(hours=1)


def _runs(schedule: Schedule, after: datetime, number: int) -> list[str]:
    """Local times of the next runs."""
    shown = []
    for _ in range(number):
        run = schedule.next_run(after)
        assert run is not None
        shown.append(f"{run.astimezone(zone_of(schedule.zone)):%Y-%m-%d %H:%M %z}")
        after = run
    return shown


def test_clocks_put_forward_move_the_run_by_as_much_and_put_back_run_it_once() -> None:
    spring = Schedule(zone=NEW_YORK, daily=Daily(time(2, 30)))
    assert _runs(spring, datetime(2031, 3, 8, tzinfo=UTC), 3) == [
        "2031-03-08 02:30 -0500",
        "2031-03-09 03:30 -0400",
        "2031-03-10 02:30 -0400",
    ]
    autumn = Schedule(zone=NEW_YORK, daily=Daily(time(1, 30)))
    assert _runs(autumn, datetime(2031, 11, 1, tzinfo=UTC), 3) == [
        "2031-11-01 01:30 -0400",
        "2031-11-02 01:30 -0400",
        "2031-11-03 01:30 -0500",
    ]


@pytest.mark.parametrize("monthly", [False, True])
def test_time_that_is_left_out_or_comes_twice_in_berlin(monthly: bool) -> None:
    """Put forward at 02:00 on 30 March 2031, back at 03:00 on 26 October: the last Sundays of their months."""
    way: dict[str, Any] = {"daily": Daily(time(2, 30))}
    if monthly:
        way = {"monthly": Monthly(time(2, 30), WeekInMonth.LAST, Weekday.SUNDAY)}
    schedule = Schedule(BERLIN, **way)
    for before, run in (
        (datetime(2031, 3, 29, 2, tzinfo=UTC), "2031-03-30 03:30 +0200"),
        (datetime(2031, 10, 25, 2, tzinfo=UTC), "2031-10-26 02:30 +0200"),
    ):
        first, following = _runs(schedule, before, 2)
        assert first == run
        assert following[:10] > run[:10], "once, not again an hour later"
        assert following[11:16] == "02:30"


def test_hours_of_both_changes_in_berlin_run_once_each() -> None:
    hourly = Schedule(BERLIN, periodic=Periodic())
    spring = _runs(hourly, datetime(2031, 3, 29, 23, 30, tzinfo=UTC), 3)
    assert spring == ["2031-03-30 01:00 +0100", "2031-03-30 03:00 +0200", "2031-03-30 04:00 +0200"]
    autumn = _runs(hourly, datetime(2031, 10, 25, 23, 30, tzinfo=UTC), 3)
    assert autumn == ["2031-10-26 02:00 +0200", "2031-10-26 02:00 +0100", "2031-10-26 03:00 +0100"]


def test_window_follows_the_clocks() -> None:
    schedule = Schedule(BERLIN, daily=Daily(time(12)), window=NIGHT)
    assert _runs(schedule, datetime(2031, 3, 28, 22, tzinfo=UTC), 2) == [
        "2031-03-29 22:00 +0100",
        "2031-03-30 22:00 +0200",
    ]


def test_days_of_the_week() -> None:
    friday = datetime(2031, 2, 7, 23, 0, tzinfo=UTC)
    assert [run[:10] for run in _runs(Schedule(daily=Daily(time(22), DailyKind.WEEK_DAYS)), friday, 2)] == [
        "2031-02-10",
        "2031-02-11",
    ]
    chosen = Daily(time(22), DailyKind.SELECTED_DAYS, frozenset({Weekday.SUNDAY, Weekday.FRIDAY}))
    assert [run[:10] for run in _runs(Schedule(daily=chosen), friday, 3)] == [
        "2031-02-09",
        "2031-02-14",
        "2031-02-16",
    ]


@pytest.mark.parametrize(
    ("monthly", "days"),
    [
        (
            Monthly(time(1), WeekInMonth.ON_DAY, day=31),
            ["2032-01-31", "2032-02-29", "2032-03-31", "2032-04-30"],
        ),
        (
            Monthly(time(1), WeekInMonth.ON_DAY, day=29, months=frozenset({Month.FEBRUARY})),
            ["2032-02-29", "2033-02-28", "2034-02-28", "2035-02-28", "2036-02-29"],
        ),
        (Monthly(time(1), WeekInMonth.FIRST, Weekday.SUNDAY), ["2032-01-04", "2032-02-01", "2032-03-07"]),
        (Monthly(time(1), WeekInMonth.SECOND, Weekday.THURSDAY), ["2032-01-08", "2032-02-12"]),
        (Monthly(time(1), WeekInMonth.FOURTH, Weekday.SATURDAY), ["2032-01-24", "2032-02-28"]),
        (Monthly(time(1), WeekInMonth.LAST, Weekday.SATURDAY), ["2032-01-31", "2032-02-28", "2032-03-27"]),
        (
            Monthly(
                time(1), WeekInMonth.LAST, Weekday.SUNDAY, months=frozenset({Month.JUNE, Month.DECEMBER})
            ),
            ["2032-06-27", "2032-12-26", "2033-06-26"],
        ),
    ],
)
def test_days_of_the_month(monthly: Monthly, days: list[str]) -> None:
    found = _runs(Schedule(zone=BERLIN, monthly=monthly), datetime(2032, 1, 1, tzinfo=UTC), len(days))
    assert [run[:10] for run in found] == days


def test_periods_begin_at_midnight_also_on_days_of_23_and_25_hours() -> None:
    seven = Schedule(zone=BERLIN, periodic=Periodic(PeriodKind.HOURS, 7))
    assert [run[5:16] for run in _runs(seven, datetime(2031, 2, 3, 4, 0, tzinfo=UTC), 5)] == [
        "02-03 07:00",
        "02-03 14:00",
        "02-03 21:00",
        "02-04 00:00",
        "02-04 07:00",
    ]
    six = Schedule(zone=BERLIN, periodic=Periodic(PeriodKind.HOURS, 6))
    assert _runs(six, datetime(2031, 3, 29, 22, 59, tzinfo=UTC), 3) == [
        "2031-03-30 00:00 +0100",
        "2031-03-30 07:00 +0200",
        "2031-03-30 13:00 +0200",
    ]
    office = Hours((0, *(0b111111111 << 8,) * 5, 0))
    minutes = Schedule(zone=BERLIN, periodic=Periodic(PeriodKind.MINUTES, 30, office))
    friday = datetime(2031, 2, 7, 15, 10, tzinfo=UTC)
    assert [run[5:16] for run in _runs(minutes, friday, 2)] == ["02-07 16:30", "02-10 08:00"]


def test_closed_window_gathers_the_runs_that_fall_into_it() -> None:
    noon = Schedule(zone=BERLIN, daily=Daily(time(12)), window=NIGHT)
    for after in ("2031-02-03T06:30", "2031-02-03T12:30", "2031-02-03T21:59"):
        moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(BERLIN))
        assert _runs(noon, moment, 2) == ["2031-02-03 22:00 +0100", "2031-02-04 22:00 +0100"]
    hourly = Schedule(zone=BERLIN, periodic=Periodic(), window=NIGHT)
    evening = datetime(2031, 2, 3, 5, 30, tzinfo=ZoneInfo(BERLIN))
    assert [run[5:16] for run in _runs(hourly, evening, 2)] == ["02-03 22:00", "02-03 23:00"]


def test_after_another_job_has_no_time_of_its_own() -> None:
    assert Schedule(after_job=UUID(int=1)).next_run(datetime(2031, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Schedule(),
        lambda: Schedule(daily=Daily(time(1)), continuous=Continuous()),
        lambda: Schedule(zone="Mars/Olympus", daily=Daily(time(1))),
        lambda: Schedule(zone="../../etc/passwd", daily=Daily(time(1))),
        lambda: Schedule(zone="+01:07", daily=Daily(time(1))),
        lambda: Schedule(zone="", daily=Daily(time(1))),
        lambda: Daily(time(1), DailyKind.SELECTED_DAYS, frozenset()),
        lambda: Monthly(time(1), months=frozenset()),
        lambda: Monthly(time(1), WeekInMonth.ON_DAY, day=32),
        lambda: Periodic(PeriodKind.HOURS, 25),
        lambda: Periodic(PeriodKind.MINUTES, 0),
        lambda: Periodic(PeriodKind.HOURS, 24, Hours((0b10,) * 7)),
        lambda: Hours((0,) * 7),
        lambda: Hours((1,) * 6),
        lambda: Retry(-1, 5),
    ],
)
def test_what_is_no_schedule_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        wrong()  # type: ignore[operator]
