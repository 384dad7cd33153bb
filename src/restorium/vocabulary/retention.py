"""How long a job's restore points are kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from restorium.vocabulary.errors import InvalidInput

_MOST = 100_000


class RetainBy(StrEnum):
    """What a policy counts: restore points, or days."""

    CYCLES = "Cycles"
    DAYS = "Days"


@dataclass(frozen=True, slots=True)
class Retention:
    """Keep the newest ``points`` of each VM, or those of the last ``days``; the other number is only remembered."""

    by: RetainBy
    points: int
    days: int

    def __post_init__(self) -> None:
        if not 1 <= self.points <= _MOST or not 1 <= self.days <= _MOST:
            raise InvalidInput(
                f"{self.points} restore points or {self.days} days cannot be kept",
                hint=f"Keep 1 to {_MOST} of either.",
            )
