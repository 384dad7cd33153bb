"""Templates, and how values are written in them: as the commands write them, in UTC and binary units."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from restorium import __version__
from restorium.vocabulary.sizes import format_size
from restorium.web import charts

_NOTHING = "\N{EN DASH}"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def render(template: str, **values: Any) -> str:
    """The template with these values; a value that is missing is an error."""
    return _environment().get_template(template).render(**values)


def size(count: int | None) -> str:
    """Bytes; what is unknown is a dash."""
    return _NOTHING if count is None or count < 0 else format_size(count)


def speed(rate: float | None) -> str:
    """Bytes in a second."""
    return _NOTHING if rate is None else f"{size(round(rate))}/s"


def duration(seconds: float | timedelta | None) -> str:
    """``4.2 s``, ``3 min 10 s``, ``2 h 5 min`` or ``3 d 4 h``."""
    if seconds is None:
        return _NOTHING
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for length, unit, below, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // below} {rest}"
    return f"{whole} s"


def moment(at: datetime | None, *, seconds: bool = True) -> Markup:
    """An instant in UTC, for people and for programs."""
    if at is None:
        return Markup("&ndash;")
    shown = f"{at:%Y-%m-%d %H:%M:%S}" if seconds else f"{at:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S}", shown
    )


def distance(at: datetime | None, now: datetime) -> Markup:
    """How long ago, or how soon, with the instant itself to be pointed at."""
    if at is None:
        return Markup("never")
    passed = (now - at).total_seconds()
    told = "just now" if abs(passed) < 60 else _rough(abs(passed))
    if abs(passed) >= 60:
        told = f"{told} ago" if passed > 0 else f"in {told}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S}", told
    )


def words(name: str) -> str:
    """``InProgress`` and ``creating-target`` as words."""
    return _WORDS.sub(" ", name).replace("-", " ").capitalize()


def pairs(items: Iterable[Any], value: str | None = None, text: str | None = None) -> list[tuple[Any, Any]]:
    """What is chosen from as values and texts: members of these names, or the item itself."""
    return [
        (getattr(item, value) if value else item, getattr(item, text) if text else item) for item in items
    ]


def _rough(seconds: float) -> str:
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "a moment"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("restorium.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {
        "size": size,
        "speed": speed,
        "duration": duration,
        "moment": moment,
        "distance": distance,
        "words": words,
        "pairs": pairs,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    made.globals |= {"chart": charts.chart, "pairs": pairs, "version": __version__}
    return made
