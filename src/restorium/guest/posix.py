"""What the file systems of POSIX systems share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def instant(read: Callable[[], datetime]) -> datetime | None:
    """An instant as a file system has it; None for one that is no date."""
    try:
        found = read()
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
