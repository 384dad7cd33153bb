"""Forms of schedules and retention: what a form shows is, sent as it is, what it was of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorium.native import retention as keeping
from restorium.native import schedules
from restorium.native.retention import Retention
from restorium.native.schedules import Schedule
from restorium.vocabulary.retention import WeekOfMonth
from restorium.vocabulary.schedule import Month, PeriodKind, Weekday, WeekInMonth
from restorium.web.scheduling import retention_fields, retention_of, schedule_fields, schedule_of
from restorium.web.visit import Form

pytestmark = pytest.mark.slow

_at = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
_open = st.dictionaries(
    st.sampled_from(Weekday), st.lists(st.integers(0, 23), min_size=1, unique=True).map(sorted), min_size=1
)
_hours = st.none() | _open


def _some(kind: Any) -> st.SearchStrategy[list[Any] | None]:
    """Members in order; never all of them, which are written as None."""
    chosen = st.sets(st.sampled_from(kind), min_size=1, max_size=len(kind) - 1)
    return st.none() | chosen.map(lambda found: [each for each in kind if each in found])


_weeks = st.sampled_from([week for week in WeekInMonth if week is not WeekInMonth.ON_DAY])
_ways: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(schedules.Daily, _at, _some(Weekday)).map(lambda way: {"daily": way}),
    st.builds(schedules.Monthly, _at, day=st.integers(1, 31), months=_some(Month)).map(
        lambda way: {"monthly": way}
    ),
    st.builds(schedules.Monthly, _at, week=_weeks, weekday=st.sampled_from(Weekday), months=_some(Month)).map(
        lambda way: {"monthly": way}
    ),
    st.builds(schedules.Periodic, st.integers(1, 24), st.sampled_from(PeriodKind), _hours).map(
        lambda way: {"periodic": way}
    ),
    st.builds(schedules.Continuous, _hours).map(lambda way: {"continuous": way}),
    st.uuids().map(lambda job_id: {"after_job_id": UUID(int=job_id.int)}),
)
_retries = st.none() | st.builds(schedules.Retry, st.integers(1, 9), st.integers(1, 99))
_schedules = st.none() | st.builds(
    lambda way, **common: Schedule(**way, **common),
    _ways,
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    enabled=st.booleans(),
    retry=_retries,
    window=_hours,
)
_numbers = st.integers(1, 999)
_kept = st.none() | st.builds(
    lambda by, number, **gfs: Retention(**{by: number}, **gfs),
    st.sampled_from(["points", "days"]),
    _numbers,
    weekly=st.none() | st.builds(keeping.Weekly, _numbers, st.sampled_from(Weekday)),
    monthly=st.none() | st.builds(keeping.Monthly, _numbers, st.sampled_from(WeekOfMonth)),
    yearly=st.none() | st.builds(keeping.Yearly, _numbers, st.sampled_from(Month)),
)


@given(_schedules)
def test_schedule_comes_back_from_its_form(schedule: Schedule | None) -> None:
    assert schedule_of(Form.of(schedule_fields(schedule))) == schedule


@given(_kept)
def test_retention_comes_back_from_its_form(kept: Retention | None) -> None:
    assert retention_of(Form.of(retention_fields(kept))) == kept
