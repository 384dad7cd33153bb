"""A follower of the feed in a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from restorium.catalog.changes import Place
from restorium.catalog.listing import Row, Visibility
from restorium.flows.feed import Feed
from tests.support.waiting import wait_until


class Follower:
    """``seen``: all rows as they were told; ``place``: the last one. A ``held`` one takes nothing."""

    def __init__(self, feed: Feed, visible: Visibility, **asked: Any) -> None:
        self.seen: list[Row] = []
        self.place: Place | None = None
        self.ended = False
        self.held = False
        self.batches = 0
        self._feed, self._visible, self._asked = feed, visible, asked
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True)
        self._left = False
        self._thread.start()

    async def _follow(self) -> None:
        batches = self._feed.follow(self._visible, **self._asked)
        try:
            async for batch in batches:
                self.seen += [change.row for change in batch.changes]
                self.batches += bool(batch.changes)
                self.place = batch.place or self.place
                while self.held and not self._left:
                    await asyncio.sleep(0.01)
                if self._left:
                    return
        finally:
            await batches.aclose()
            self.ended = True

    @property
    def ids(self) -> list[UUID]:
        return [row.id for row in self.seen]

    def leave(self) -> None:
        """At the next batch, of which there is one every two seconds at least."""
        self._left = True

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def following(feed: Feed, visible: Visibility | None = None, **asked: Any) -> Iterator[Follower]:
    """A follower that has been told all there was to begin with."""
    follower = Follower(feed, visible or Visibility.everything(), **asked)
    wait_until(lambda: follower.place is not None)
    try:
        yield follower
    finally:
        follower.leave()
