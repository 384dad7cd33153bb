"""Retention: whatever the policy and the times of runs, what is to be kept is kept; and what each rule says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.retention import (
    Gfs,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
    RetainBy,
    Retention,
    Rule,
    WeekOfMonth,
    kept,
)
from restorium.vocabulary.schedule import Month, Weekday, zone_of

START = datetime(2031, 2, 3, 22, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)

numbers = st.integers(1, 12)
gfs = st.builds(
    Gfs,
    st.none() | st.builds(KeepWeekly, numbers, st.sampled_from(Weekday)),
    st.none() | st.builds(KeepMonthly, numbers, st.sampled_from(WeekOfMonth)),
    st.builds(KeepYearly, st.integers(1, 4), st.sampled_from(Month)),
)
policies = st.builds(Retention, st.sampled_from(RetainBy), numbers, numbers, st.none() | gfs)
steps = st.lists(st.sampled_from([1, 5, 12, 24, 25, 24 * 7, 24 * 31, 24 * 200]), min_size=1, max_size=60)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"]).map(zone_of)


def _left(moments: list[datetime], policy: Retention, now: datetime, zone: object = UTC) -> list[datetime]:
    rules = kept(moments, policy, now, zone)  # type: ignore[arg-type]
    return [moment for moment, why in zip(moments, rules, strict=True) if why]


@given(policies, steps, st.integers(0, 10_000), zones)
def test_removing_after_each_run_loses_nothing_that_is_to_be_kept(
    policy: Retention, hours: list[int], later: int, zone: object
) -> None:
    """All runs' points, seen at the end, against those that are left when the rest went after each run."""
    every: list[datetime] = []
    left: list[datetime] = []
    now = START
    for step in hours:
        now += timedelta(hours=step)
        every.append(now)
        left = _left([*left, now], policy, now, zone)
        assert left[-1] == now, "the newest is always there"
        assert _left(left, policy, now, zone) == left, "a second time changes nothing"
        assert set(_left(every, policy, now, zone)) <= set(left)
    now += timedelta(hours=later)
    assert set(_left(every, policy, now, zone)) <= set(_left(left, policy, now, zone))
    assert _left(left, policy, now, zone), "the last restorable point never goes"


@given(policies, steps, zones)
def test_each_rule_keeps_what_it_says(policy: Retention, hours: list[int], zone: object) -> None:
    moments = [START]
    for step in hours:
        moments.append(moments[-1] + timedelta(hours=step))
    now = moments[-1]
    rules = kept(moments, policy, now, zone)  # type: ignore[arg-type]
    by = {rule: [moment for moment, why in zip(moments, rules, strict=True) if rule in why] for rule in Rule}
    assert by[Rule.NEWEST] == moments[-1:]
    if policy.by is RetainBy.CYCLES:
        assert (by[Rule.POINTS], by[Rule.DAYS]) == (moments[-policy.points :], [])
    else:
        recent = [moment for moment in moments if now - moment <= policy.days * DAY]
        assert (by[Rule.POINTS], by[Rule.DAYS]) == ([], recent)
    weekly = policy.gfs.weekly if policy.gfs else None
    weeks = [moment.astimezone(zone).isocalendar()[:2] for moment in by[Rule.WEEKLY]]  # type: ignore[arg-type]
    assert len(weeks) == len(set(weeks)), "one a week"
    if weekly is None:
        assert weeks == []
        return
    for moment in moments:
        week = moment.astimezone(zone).isocalendar()[:2]  # type: ignore[arg-type]
        mates = [each for each in moments if each.astimezone(zone).isocalendar()[:2] == week]  # type: ignore[arg-type]
        if now - mates[0] < weekly.weeks * 7 * DAY:
            assert week in weeks, "no week is left out that has a point young enough"


def _shown(policy: Gfs, moments: list[datetime], now: datetime) -> list[str]:
    rules = kept(moments, Retention(RetainBy.CYCLES, 1, 1, policy), now, BERLIN)
    periods = {Rule.WEEKLY, Rule.MONTHLY, Rule.YEARLY}
    return [
        f"{moment:%Y-%m-%d} {' '.join(sorted(why & periods))}"
        for moment, why in zip(moments, rules, strict=True)
        if why & periods
    ]


def _daily(first: datetime, days: int) -> list[datetime]:
    return [first + number * DAY for number in range(days)]


def test_weekly_points_are_of_the_selected_day_and_go_when_they_are_too_old() -> None:
    days = _daily(datetime(2031, 1, 1, 22, tzinfo=BERLIN), 40)  # a Wednesday; to Sunday, 9 February
    assert _shown(Gfs(weekly=KeepWeekly(3, Weekday.FRIDAY)), days, days[-1]) == [
        "2031-01-24 weekly",
        "2031-01-31 weekly",
        "2031-02-07 weekly",
    ]


def test_point_of_another_day_stands_in_where_the_selected_has_none() -> None:
    monday = datetime(2031, 1, 6, 22, tzinfo=BERLIN)
    weekly = Gfs(weekly=KeepWeekly(9, Weekday.THURSDAY))
    assert _shown(weekly, [monday, monday + DAY], monday + 60 * DAY) == ["2031-01-07 weekly"]
    later = [monday, monday + DAY, monday + 4 * DAY, monday + 5 * DAY]
    assert _shown(weekly, later, monday + 60 * DAY) == ["2031-01-10 weekly"]


def test_days_are_those_of_the_zone() -> None:
    late = datetime(2031, 1, 31, 23, 30, tzinfo=UTC)  # is 1 February in Berlin
    early = late - timedelta(hours=2)
    assert _shown(Gfs(monthly=KeepMonthly(2)), [early, late], late) == ["2031-01-31 monthly"] * 2


def test_monthly_and_yearly_points() -> None:
    days = _daily(datetime(2030, 11, 15, 22, tzinfo=BERLIN), 120)
    assert _shown(Gfs(monthly=KeepMonthly(3)), days, days[-1]) == [
        "2031-01-01 monthly",
        "2031-02-01 monthly",
        "2031-03-01 monthly",
    ]
    assert _shown(Gfs(monthly=KeepMonthly(2, WeekOfMonth.LAST)), days, days[-1]) == [
        "2031-01-25 monthly",
        "2031-02-22 monthly",
        "2031-03-14 monthly",
    ]
    assert _shown(Gfs(yearly=KeepYearly(1, Month.DECEMBER)), days, days[-1]) == [
        "2030-12-01 yearly",
        "2031-03-14 yearly",
    ]
    assert _shown(Gfs(yearly=KeepYearly(1)), [days[0]], days[0].replace(year=2031)) == []


def test_29_february_is_a_year_old_on_28_february() -> None:
    leap = datetime(2032, 2, 29, 12, tzinfo=BERLIN)
    yearly = Gfs(yearly=KeepYearly(1))
    assert _shown(yearly, [leap], datetime(2033, 2, 28, 11, tzinfo=BERLIN)) == ["2032-02-29 yearly"]
    assert _shown(yearly, [leap], datetime(2033, 2, 28, 12, tzinfo=BERLIN)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Gfs(),
        lambda: KeepWeekly(0),
        lambda: KeepMonthly(1000),
        lambda: KeepYearly(-1),
        lambda: Retention(RetainBy.DAYS, 1, 0),
    ],
)
def test_what_keeps_nothing_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        wrong()  # type: ignore[operator]
