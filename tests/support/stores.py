"""Object stores in memory that misbehave on purpose: late lists, a clock of their own, turns, deaths, failures."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from obstore.exceptions import AlreadyExistsError, PreconditionError

START = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


class Objects:
    """What a storage holds, and its clock. ``lag``: for how long a list does not show what was put or deleted."""

    def __init__(self, lag: timedelta = timedelta()) -> None:
        self.now = START
        self.lag = lag
        self.held: dict[str, tuple[bytes, datetime]] = {}
        self._deleted: dict[str, tuple[int, datetime, datetime]] = {}

    def put(self, path: str, file: Any, *, mode: Any = "overwrite", **_: object) -> None:
        if mode == "create" and path in self.held:
            raise AlreadyExistsError(path)
        if isinstance(mode, dict) and mode["e_tag"] != _e_tag(self.content(path)):
            raise PreconditionError(path)
        self.held[path] = (bytes(file), self.now)

    def content(self, path: str) -> bytes:
        if path not in self.held:
            raise FileNotFoundError(path)
        return self.held[path][0]

    def head(self, path: str) -> dict[str, Any]:
        return {"path": path, "size": len(self.content(path)), "last_modified": self.held[path][1]}

    def delete(self, path: str) -> None:
        content, modified = self.held.pop(path, (b"", START))
        self._deleted[path] = (len(content), modified, self.now)

    def listed(self, prefix: str) -> list[dict[str, Any]]:
        shown = {
            path: (len(content), modified)
            for path, (content, modified) in self.held.items()
            if modified <= self.now - self.lag
        }
        for path, (size, modified, deleted) in self._deleted.items():
            if path not in self.held and modified <= self.now - self.lag < deleted:
                shown[path] = (size, modified)
        return [
            {"path": path, "size": size, "last_modified": modified}
            for path, (size, modified) in sorted(shown.items())
            if path.startswith(f"{prefix}/")
        ]


def _e_tag(content: bytes) -> str:
    return str(hash(content))


class _Got:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.meta = {"e_tag": _e_tag(content), "version": None}

    def bytes(self) -> bytes:
        return self._content


class Store:
    """``Objects`` as the vault's storage uses a store; ``before`` is called before each operation."""

    def __init__(self, objects: Objects, before: Callable[[str], None] = lambda operation: None) -> None:
        self.objects = objects
        self.before = before

    def put(self, path: str, file: Any, **options: Any) -> None:
        content = bytes(file)
        self.before(f"put {path}")
        self.objects.put(path, content, **options)

    def get(self, path: str) -> _Got:
        self.before(f"get {path}")
        return _Got(self.objects.content(path))

    def get_range(self, path: str, *, start: int, length: int) -> bytes:
        self.before(f"get {path}")
        return self.objects.content(path)[start : start + length]

    def head(self, path: str) -> dict[str, Any]:
        self.before(f"head {path}")
        return self.objects.head(path)

    def delete(self, path: str) -> None:
        self.before(f"delete {path}")
        self.objects.delete(path)

    def list(self, prefix: str, *, chunk_size: int = 1000) -> Iterator[list[dict[str, Any]]]:
        self.before(f"list {prefix}")
        return iter([self.objects.listed(prefix)])


class _Actor:
    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: list[threading.Event] = []
        self.done = False
        self.failure: BaseException | None = None


class Turns:
    """Lets several actors act on storages, one operation at a time, in an order that the seed alone decides.

    Half of the seeds choose anew at each step. The others let one actor run until one of a few moments and then
    another, which finds what takes long pauses at the wrong places.
    """

    def __init__(self, seed: int, pause: int | None = None) -> None:
        """``pause``: run the actors one after the other, but the first only up to that step before the others."""
        self._chance = random.Random(seed)
        self._pauses = {self._chance.randrange(1, 120) for _ in range(self._chance.randrange(1, 5))}
        self._anew = self._chance.random() < 0.5
        self._shuffled = pause is None
        if pause is not None:
            self._pauses, self._anew = {pause}, False
        self._changed = threading.Condition()
        self._actors: list[_Actor] = []
        self._threads: list[threading.Thread] = []
        self.steps = 0

    def actor(self, name: str, work: Callable[[Callable[[str], None]], None]) -> None:
        """``work`` is given what its storage is to call before each operation, and runs in a thread."""
        actor = _Actor(name)

        def before(operation: str) -> None:
            turn = threading.Event()
            with self._changed:
                actor.waiting.append(turn)
                self._changed.notify_all()
            turn.wait()

        def run() -> None:
            try:
                work(before)
            except BaseException as error:  # noqa: BLE001 - told by run()
                actor.failure = error
            with self._changed:
                actor.done = True
                self._changed.notify_all()

        self._actors.append(actor)
        self._threads.append(threading.Thread(target=run, name=name, daemon=True))

    def run(self, between: Callable[[random.Random], None] = lambda chance: None) -> dict[str, BaseException]:
        """Until all are done; gives what ended those that failed. ``between``: called before each operation."""
        for thread in self._threads:
            thread.start()
        while True:
            with self._changed:
                assert self._changed.wait_for(self._settled, timeout=60), "an actor hangs"
                ready = [actor for actor in self._actors if actor.waiting]
                if not ready:
                    break
                between(self._chance)
                self.steps += 1
                self._next(ready).waiting.pop(0).set()
        for thread in self._threads:
            thread.join()
        return {actor.name: actor.failure for actor in self._actors if actor.failure is not None}

    def _next(self, ready: list[_Actor]) -> _Actor:
        if self._anew:
            return self._chance.choice(ready)
        if self.steps == 1 and self._shuffled:
            self._chance.shuffle(self._actors)
        if self.steps in self._pauses:
            self._actors.remove(ready[0])
            self._actors.append(ready[0])
        return next(actor for actor in self._actors if actor.waiting)

    def _settled(self) -> bool:
        return all(actor.waiting or actor.done for actor in self._actors)
