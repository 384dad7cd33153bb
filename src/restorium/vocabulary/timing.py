"""Schedules and retention as people write and read them; the values are those of the native API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.schedule import Month, Weekday, WeekInMonth, zone_of

Item = Mapping[str, Any]
M = TypeVar("M", Weekday, Month)

_WEEK = (*tuple(Weekday)[1:], Weekday.SUNDAY)
_EVERY = re.compile(r"(\d{1,4})\s*(h|m)", re.ASCII)
_HOURS = re.compile(r"(?:(\S+)\s+)?(\d{1,2})-(\d{1,2})", re.ASCII)
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h)", re.ASCII)
_AGO = re.compile(r"(\d{1,6})\s*(m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_UNITS = {"h": "Hours", "m": "Minutes"}
_ALWAYS = {day: list(range(24)) for day in Weekday}


def parse_since(text: str, now: datetime) -> datetime:
    """A moment, UTC unless it says otherwise, or how long ago it was: ``36h``, ``7d``, ``90m``. Raises InvalidInput."""
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{text!r} is no moment",
            hint="Write 2026-11-24, 2026-11-24T21:15Z, or how long ago: 90m, 36h, 7d.",
        ) from None


def parse_day(text: str) -> Weekday:
    """``mon`` or ``monday``. Raises InvalidInput."""
    return _member(_WEEK, text, "day of the week", "mon, tue or monday")


def parse_days(text: str) -> list[Weekday]:
    """``mon,wed``, ``mon-fri``, ``weekdays`` or ``daily``. Raises InvalidInput."""
    named = {"daily": "mon-sun", "weekdays": "mon-fri", "weekend": "sat,sun"}
    found: list[Weekday] = []
    for part in named.get(text.lower(), text).split(","):
        first, _, last = part.partition("-")
        start, end = _WEEK.index(parse_day(first)), _WEEK.index(parse_day(last or first))
        found += [_WEEK[number % 7] for number in range(start, end + 1 + 7 * (end < start))]
    return [day for day in Weekday if day in found]


def parse_months(text: str) -> list[Month]:
    """``jan,jul``. Raises InvalidInput."""
    return [parse_month(part) for part in text.split(",")]


def parse_month(text: str) -> Month:
    """``jan`` or ``january``. Raises InvalidInput."""
    return _member(tuple(Month), text, "month", "jan, feb or january")


def parse_day_of_month(text: str) -> dict[str, Any]:
    """``15`` or ``last sunday``, as members of a monthly schedule. Raises InvalidInput."""
    if text.isascii() and text.isdecimal():
        return {"day": int(text)}
    week, _, day = text.strip().partition(" ")
    weeks = [each for each in WeekInMonth if each is not WeekInMonth.ON_DAY and each.lower() == week.lower()]
    if not weeks or not day:
        raise InvalidInput(f"{text!r} is no day of a month", hint="Write 15 or 'last sunday'.")
    return {"week": weeks[0], "weekday": parse_day(day)}


def parse_period(text: str) -> dict[str, Any]:
    """``4h`` or ``30m``, as members of a periodic schedule. Raises InvalidInput."""
    match = _EVERY.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidInput(f"{text!r} is no period", hint="Write 4h or 30m.")
    return {"every": int(match[1]), "unit": _UNITS[match[2]]}


def parse_duration(text: str) -> int:
    """``90s``, ``15m`` or ``2h`` in seconds. Raises InvalidInput."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidInput(f"{text!r} is no duration", hint="Write 90s, 15m or 2h.")
    return int(match[1]) * _SECONDS[match[2]]


def write_duration(seconds: int) -> str:
    """What ``parse_duration`` reads as so many seconds."""
    unit = next(unit for unit in ("h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_hours(texts: Iterable[str]) -> dict[Weekday, list[int]] | None:
    """``mon-fri 22-6`` and the like, which add up; hours past midnight are of the day after. None of none.

    Raises InvalidInput.
    """
    found: dict[Weekday, set[int]] = {}
    given = list(texts)
    for text in given:
        match = _HOURS.fullmatch(text.strip())
        start, end = (int(match[2]), int(match[3])) if match else (0, 0)
        if match is None or start == end or start > 23 or end > 24:
            raise InvalidInput(f"{text!r} are no hours", hint="Write 'mon-fri 22-6' or '8-18'.")
        for day in parse_days(match[1] or "daily"):
            for hour in range(start, end + 24 * (end < start)):
                later = _WEEK[(_WEEK.index(day) + hour // 24) % 7]
                found.setdefault(later, set()).add(hour % 24)
    return {day: sorted(hours) for day, hours in found.items()} if given else None


def write_hours(hours: Mapping[Weekday, Sequence[int]] | None) -> list[str]:
    """What ``parse_hours`` reads as these; none for None."""
    alike: dict[str, list[str]] = {}
    for day in _WEEK:
        for part in _ranges((hours or {}).get(day, ())):
            alike.setdefault(part, []).append(day)
    return [f"{write_days(days)} {part}" for part, days in alike.items()]


def write_days(days: Sequence[str]) -> str:
    """``mon-fri,sun``, as ``parse_days`` reads it."""
    return _shown_days(days).lower().replace(" ", "")


def parse_retry(text: str) -> dict[str, int]:
    """``3`` or ``3/10``: times, and minutes between them. Raises InvalidInput."""
    times, slash, minutes = text.partition("/")
    if not times.isdecimal() or (slash and not minutes.isdecimal()):
        raise InvalidInput(f"{text!r} says no retries", hint="Write TIMES or TIMES/MINUTES, such as 3/10.")
    return {"times": int(times)} | ({"wait_minutes": int(minutes)} if slash else {})


def next_run(job: Item, names: Mapping[str, str], now: datetime | None = None) -> str:
    """When the job runs next, in words: ``Mon 2031-02-03 22:00 Europe/Berlin, in 17 hours``.

    names: of jobs by their ids. now: the present if None.
    """
    schedule = job["schedule"]
    if schedule is None:
        return "not scheduled"
    if not job["schedule_enabled"]:
        return "disabled"
    if job["next_run"] is None:
        return f"after {names.get(schedule['after_job_id'], schedule['after_job_id'])}"
    at = datetime.fromisoformat(job["next_run"])
    local = at.astimezone(zone_of(schedule["zone"]))
    left = (at - (now or datetime.now(UTC))).total_seconds()
    return f"{local:%a %Y-%m-%d %H:%M} {schedule['zone']}, {_distance(left)}"


def describe_schedule(schedule: Item | None, names: Mapping[str, str]) -> str:
    """A schedule in one sentence without a full stop. names: of jobs by their ids."""
    if schedule is None:
        return "runs only when it is started"
    said = _way(schedule, names)
    if schedule["after_job_id"] is None or schedule["window"]:
        said += f", {schedule['zone']}"
    if schedule["window"]:
        said += f", within {_shown_hours(schedule['window'])}"
    if (retry := schedule["retry"]) is not None:
        said += f", retried {retry['times']} times after {retry['wait_minutes']} minutes"
    return said if schedule["enabled"] else f"{said} (disabled)"


def describe_retention(kept: Item | None) -> str:
    """A retention in one sentence without a full stop."""
    if kept is None:
        return "keeps all restore points"
    said = f"keeps {kept['points']} restore points" if kept["points"] else f"keeps {kept['days']} days"
    for name, number, selected in (
        ("weekly", "weeks", "day"),
        ("monthly", "months", "week"),
        ("yearly", "years", "month"),
    ):
        if (period := kept[name]) is not None:
            said += f", {name} points for {period[number]} {number} ({period[selected]})"
    return said


def _way(schedule: Item, names: Mapping[str, str]) -> str:
    if (daily := schedule["daily"]) is not None:
        days = daily["days"]
        return f"{'daily' if days is None else _shown_days(days)} at {daily['at']}"
    if (monthly := schedule["monthly"]) is not None:
        on = (
            f"day {monthly['day']}"
            if monthly["day"]
            else f"the {monthly['week'].lower()} {monthly['weekday']}"
        )
        months = (
            "every month" if monthly["months"] is None else ", ".join(each[:3] for each in monthly["months"])
        )
        return f"on {on} of {months} at {monthly['at']}"
    if (periodic := schedule["periodic"]) is not None:
        return f"every {periodic['every']} {periodic['unit'].lower()}{_while(periodic)}"
    if (continuous := schedule["continuous"]) is not None:
        return f"continuously{_while(continuous)}"
    return f"after the job {names.get(schedule['after_job_id'], schedule['after_job_id'])}"


def _while(way: Item) -> str:
    return f" during {_shown_hours(way['hours'])}" if way["hours"] else ""


def _shown_hours(hours: Mapping[str, Sequence[int]]) -> str:
    """``Mon-Fri 0-6 22-24, Sat 8-18``: days of the same hours stand together."""
    alike: dict[str, list[str]] = {}
    for day in _WEEK:
        if hours.get(day):
            alike.setdefault(" ".join(_ranges(hours[day])), []).append(day)
    return ", ".join(f"{_shown_days(days)} {text}" for text, days in alike.items())


def _ranges(hours: Sequence[int]) -> Iterable[str]:
    start = None
    for hour in range(25):
        if hour in hours and start is None:
            start = hour
        elif hour not in hours and start is not None:
            yield f"{start}-{hour}"
            start = None


def _shown_days(days: Sequence[str]) -> str:
    """``Mon-Fri, Sun``."""
    runs: list[list[str]] = []
    for day in _WEEK:
        if day not in days:
            continue
        if runs and _WEEK.index(day) == _WEEK.index(Weekday(runs[-1][-1])) + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(run[0][:3] if len(run) == 1 else f"{run[0][:3]}-{run[-1][:3]}" for run in runs)


def _distance(seconds: float) -> str:
    if seconds <= 0:
        return "now"
    for length, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"in {seconds / length:.0f} {unit}"
    return "in a minute"


def _member(members: Sequence[M], text: str, what: str, example: str) -> M:
    wanted = text.strip().lower()
    found = [each for each in members if len(wanted) >= 3 and each.lower().startswith(wanted)]
    if not found:
        raise InvalidInput(f"{text.strip()!r} is no {what}", hint=f"Write {example}.")
    return found[0]
