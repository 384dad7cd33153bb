"""What has been found out about lists: how many rows there are, and which row stands at which place.

A client that goes through a list of a million rows asks for its total and for rows far into it with each page. Both
take time in proportion to the rows passed, so both are kept, each for the generation of the tables that it was read
from. A table's generation goes up in every transaction that changes it (``generations``) and is read in the snapshot
that the rows are read from, so nothing old is ever used.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

_LISTS = 256
_SPACING = 1000
"""Rows between two places that are kept: passing as many takes about a tenth of a millisecond."""

Values = tuple[Any, ...]


@dataclass(slots=True)
class _Known:
    generation: int
    total: int | None = None
    offsets: list[int] = field(default_factory=list)
    values: dict[int, Values] = field(default_factory=dict)


class Places:
    """Kept for one process, in any thread, for the lists used last. ``key`` says which list, with its filter."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()

    def total(self, key: Hashable, generation: int) -> int | None:
        """How many rows there are, if that is known."""
        with self._mutex:
            known = self._of(key, generation)
            return None if known is None else known.total

    def note_total(self, key: Hashable, generation: int, total: int) -> None:
        """Keep how many rows there are."""
        with self._mutex:
            known = self._made(key, generation)
            if known is not None:
                known.total = total

    def before(self, key: Hashable, generation: int, offset: int) -> tuple[int, Values] | None:
        """The last place at or before ``offset`` that is known, and what its row is sorted by."""
        with self._mutex:
            known = self._of(key, generation)
            place = 0 if known is None else bisect_right(known.offsets, offset)
            if known is None or not place:
                return None
            found = known.offsets[place - 1]
            return found, known.values[found]

    def note(self, key: Hashable, generation: int, offset: int, values: Values) -> None:
        """Keep what the row at ``offset`` is sorted by, unless that of a row nearby is kept."""
        with self._mutex:
            known = self._made(key, generation)
            if known is None:
                return
            place = bisect_right(known.offsets, offset)
            near = known.offsets[max(0, place - 1) : place + 1]
            if offset >= _SPACING and all(abs(offset - each) >= _SPACING for each in near):
                insort(known.offsets, offset)
                known.values[offset] = values

    def _of(self, key: Hashable, generation: int) -> _Known | None:
        known = self._known.get(key)
        if known is None or known.generation != generation:
            return None
        self._known.move_to_end(key)
        return known

    def _made(self, key: Hashable, generation: int) -> _Known | None:
        """What is known of that generation; None if a later one is known already."""
        known = self._known.get(key)
        if known is not None and known.generation > generation:
            return None
        if known is None or known.generation < generation:
            known = self._known[key] = _Known(generation)
            while len(self._known) > _LISTS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known
