"""Schedules as people write them on the command line, and as it shows them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from restorium.vocabulary import timing
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.schedule import Weekday

NOW = datetime(2031, 3, 29, 20, tzinfo=UTC)
NAMES = {"id-1": "nightly"}


def _schedule(**members: Any) -> dict[str, Any]:
    none = dict.fromkeys(("daily", "monthly", "periodic", "continuous", "after_job_id", "retry", "window"))
    return {"zone": "Europe/Berlin", "enabled": True, **none, **members}


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", "Monday"),
        ("Monday,WED", "Monday Wednesday"),
        ("mon-fri", "Monday Tuesday Wednesday Thursday Friday"),
        ("sat-mon", "Sunday Monday Saturday"),
        ("weekend,", None),
        ("weekend", "Sunday Saturday"),
        ("daily", "Sunday Monday Tuesday Wednesday Thursday Friday Saturday"),
        ("mo", None),
        ("", None),
        ("mon--fri", None),
    ],
)
def test_days(text: str, days: str | None) -> None:
    if days is None:
        with pytest.raises(InvalidInput):
            timing.parse_days(text)
    else:
        assert " ".join(timing.parse_days(text)) == days


def test_hours_add_up_and_go_over_midnight() -> None:
    assert timing.parse_hours(()) is None
    assert timing.parse_hours(["fri 22-2", "sat 8-10"]) == {
        Weekday.FRIDAY: [22, 23],
        Weekday.SATURDAY: [0, 1, 8, 9],
    }
    assert timing.parse_hours(["sun 23-1"]) == {Weekday.SUNDAY: [23], Weekday.MONDAY: [0]}
    assert timing.parse_hours(["0-24"]) == {day: list(range(24)) for day in Weekday}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((lambda text: timing.parse_hours([text]), text) for text in ("8", "8-8", "24-1", "8-25", "noon 8-9")),
        *((timing.parse_period, text) for text in ("", "4", "h", "-4h", "4d", "٤h")),
        *((timing.parse_day_of_month, text) for text in ("", "sunday", "fifth sunday", "onday sunday", "last")),
        *((timing.parse_retry, text) for text in ("", "x", "3/", "3/x", "-1")),
        *((timing.parse_months, text) for text in ("", "jan,", "ju")),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert "Write" in refused.value.hint


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"daily": {"at": "22:00", "days": None}}, "daily at 22:00, Europe/Berlin"),
        (
            {"daily": {"at": "22:00", "days": ["Sunday", "Monday", "Tuesday", "Friday"]}},
            "Mon-Tue, Fri, Sun at 22:00, Europe/Berlin",
        ),
        (
            {"monthly": {"at": "01:00", "day": 31, "week": None, "weekday": None, "months": None}},
            "on day 31 of every month at 01:00, Europe/Berlin",
        ),
        (
            {"monthly": {"at": "01:00", "day": None, "week": "Last", "weekday": "Sunday", "months": ["June", "July"]}},
            "on the last Sunday of Jun, Jul at 01:00, Europe/Berlin",
        ),
        (
            {"periodic": {"every": 4, "unit": "Hours", "hours": {"Monday": [8, 9, 23]}}},
            "every 4 hours during Mon 8-10 23-24, Europe/Berlin",
        ),
        ({"continuous": {"hours": None}, "enabled": False}, "continuously, Europe/Berlin (disabled)"),
        ({"after_job_id": "id-1"}, "after the job nightly"),
    ],
)  # fmt: skip
def test_schedule_in_words(members: dict[str, Any], said: str) -> None:
    assert timing.describe_schedule(_schedule(**members), NAMES) == said


@pytest.mark.parametrize(
    ("next_run", "said"),
    [
        ("2031-03-30T00:30:00Z", "Sun 2031-03-30 01:30 Europe/Berlin, in 4 hours"),
        ("2031-03-30T01:30:00Z", "Sun 2031-03-30 03:30 Europe/Berlin, in 6 hours"),
        ("2031-03-29T20:01:30Z", "Sat 2031-03-29 21:01 Europe/Berlin, in a minute"),
        ("2031-03-29T20:30:00Z", "Sat 2031-03-29 21:30 Europe/Berlin, in 30 minutes"),
        ("2031-04-05T20:00:00Z", "Sat 2031-04-05 22:00 Europe/Berlin, in 7 days"),
        ("2031-03-29T19:59:00Z", "Sat 2031-03-29 20:59 Europe/Berlin, now"),
    ],
)
def test_next_run_in_words_is_in_the_zone_of_the_schedule(next_run: str, said: str) -> None:
    job = {"schedule": _schedule(), "schedule_enabled": True, "next_run": next_run}
    assert timing.next_run(job, NAMES, NOW) == said


def test_next_run_of_what_no_clock_starts() -> None:
    after = {"schedule": _schedule(after_job_id="id-1"), "schedule_enabled": True, "next_run": None}
    assert timing.next_run(after, NAMES, NOW) == "after nightly"
    assert timing.next_run({**after, "schedule_enabled": False}, NAMES, NOW) == "disabled"
    assert timing.next_run({**after, "schedule": None}, NAMES, NOW) == "not scheduled"


@pytest.mark.parametrize(
    "texts",
    [["mon-fri 22-24"], ["mon-sun 0-24"], ["mon,wed-thu,sun 8-18", "sat 0-1"], []],
)
def test_hours_and_durations_are_written_as_they_are_read(texts: list[str]) -> None:
    assert timing.write_hours(timing.parse_hours(texts)) == texts
    for text in ("90s", "15m", "2h"):
        assert timing.write_duration(timing.parse_duration(text)) == text
