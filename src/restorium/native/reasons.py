"""Why a session ended as it did, and what happened in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Reason(msgspec.Struct):
    """``code`` is stable across releases; ``hint`` is the remedy."""

    code: str
    message: str
    hint: str


class Event(msgspec.Struct):
    """``level`` is info, warning or error."""

    at: datetime
    level: str
    message: str


def reason_of(session: Any) -> Reason | None:
    """The reason that a session's row gives; None where there was nothing to explain."""
    if session.reason_code is None:
        return None
    return Reason(session.reason_code, session.reason or "", session.hint or "")
