"""Values of members as the interface writes them, and as filters of the query service give them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from restorium.em.documented import DOCUMENTED
from restorium.em.documents import Scalar
from restorium.vocabulary.errors import InvalidIdentifier
from restorium.vocabulary.ids import parse_uid, urn


@dataclass(frozen=True, slots=True)
class Codec:
    """One kind of value. ``read`` raises ValueError for text that is none; ``expected`` says what one looks like.

    xsd: its type among those that XML Schema has. values: those it has, if that can be told. pattern: of what is
    shown, as XML Schema and JSON Schema both understand it.
    """

    show: Callable[[Any], Scalar] = field(compare=False)
    read: Callable[[str], Any] = field(compare=False)
    expected: str
    xsd: str = "string"
    values: tuple[str, ...] = ()
    pattern: str = ""


_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7})\d*)?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def show_instant(at: datetime) -> str:
    """UTC with up to six digits of a second, as few as needed: ``2026-06-15T02:04:52.037Z``."""
    text = at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def read_instant(text: str) -> datetime:
    """A date, or a date and time, with or without a zone; UTC where none is named. Raises ValueError."""
    match = _INSTANT.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    at = datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(zone),
    )
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _read_boolean(text: str) -> bool:
    found = {"true": True, "false": False, "1": True, "0": False}.get(text.lower())
    if found is None:
        raise ValueError(text)
    return found


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII):
        raise ValueError(text)
    return int(text)


@dataclass(frozen=True, slots=True)
class Never:
    """A value that nothing here has. ``following``: the next greater that something may have, None if none."""

    following: StrEnum | int | None


def _read_percent(text: str) -> int | Never:
    """A factor in percent; one between two that can be shown is compared by the greater."""
    if not re.fullmatch(r"[+-]?\d{1,12}(\.\d{1,12})?", text, re.ASCII):
        raise ValueError(text)
    percent = Decimal(text) * 100
    greater = math.ceil(percent)
    return greater if greater == percent else Never(greater)


TEXT = Codec(str, str, "text")
ADDRESS = Codec(str, str, "an absolute address", "anyURI")
INSTANT = Codec(show_instant, read_instant, "a date such as 2026-06-15T23:17:05Z", "dateTime")
INTEGER = Codec(int, _read_integer, "a whole number", "int")
LONG = Codec(int, _read_integer, "a whole number", "long")
"""Of bytes, mostly."""
BOOLEAN = Codec(bool, _read_boolean, "true or false", "boolean")
RATIO = Codec(lambda percent: percent / 100, _read_percent, "a number", "double")
"""How many times smaller: kept in percent, shown as a factor."""
_GUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GUID = Codec(str, UUID, "a GUID", pattern=_GUID)


def uid(kind: str | None) -> Codec:
    """``urn:veeam:<kind>:<guid>``; a bare GUID is read as well, and any kind if ``kind`` is None."""

    def read(text: str) -> UUID:
        try:
            return parse_uid(text, kind)
        except InvalidIdentifier as error:
            raise ValueError(text) from error

    shown = kind or "<Type>"
    pattern = f"urn:veeam:{kind or '[A-Za-z]+'}:{_GUID}"
    return Codec(
        lambda value: urn(shown, value), read, f"an id such as urn:veeam:{shown}:<GUID>", pattern=pattern
    )


def one_of(*values: str) -> Codec:
    """Text that is one of these; always the same where there is only one."""
    return Codec(str, str, "one of " + ", ".join(values), values=values)


def name_uid(kind: str) -> Codec:
    """``urn:veeam:<kind>:<name>`` of what has its name for an id; a bare name is read as well."""
    start = urn(kind, "")

    def read(text: str) -> str:
        return text[len(start) :] if text.lower().startswith(start.lower()) else text

    return Codec(lambda value: urn(kind, value), read, f"an id such as {start}<name>")


def enumeration(kind: type[StrEnum]) -> Codec:
    """A member by its name, in any case, or a ``Never``. The documented order is what ``<`` means."""
    values: dict[str, StrEnum | Never] = {}
    following: StrEnum | None = None
    known = {member.lower(): member for member in kind}
    for name in reversed(DOCUMENTED.get(kind, ())):
        following = known.get(name.lower(), following)
        values[name.lower()] = known.get(name.lower(), Never(following))
    values |= known

    def read(text: str) -> StrEnum | Never:
        value = values.get(text.lower())
        if value is None:
            raise ValueError(text)
        return value

    documented = tuple(map(str, DOCUMENTED.get(kind, kind)))
    return Codec(str, read, "one of " + ", ".join(documented), values=documented)


def codec_of(annotation: Any) -> Codec:
    """The codec of a Python type. Raises TypeError for a type that has none."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return enumeration(annotation)
    plain = {str: TEXT, datetime: INSTANT, int: INTEGER, bool: BOOLEAN}
    if annotation not in plain:
        raise TypeError(f"{annotation} is no type of a member")
    return plain[annotation]
