"""Time and identifiers as things that are handed in, so that no test waits or guesses."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4


class Clock(Protocol):
    """``now`` is aware and UTC; ``monotonic`` counts seconds from anywhere; ``new_id`` is unguessable."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def new_id(self) -> UUID: ...


class SystemClock:
    """The machine's clock and its cryptographic random numbers (uuid4 draws 122 bits from os.urandom)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self) -> UUID:
        return uuid4()
