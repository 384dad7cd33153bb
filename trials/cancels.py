"""R11: restores that are cancelled at each boundary of a step and at moments in between.

A case watches one restore, then cancels one at each boundary of its steps and at as many other places. Whatever the
place, the session is Stopping when the request returns and Stopped soon after; the VM stands whole or nothing of it is
there; and the next restore is not kept waiting.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from restorium.disks.raw import RawWriter
from restorium.flows import durable, restore, restoring
from restorium.flows.restore_record import RestoreRecord
from restorium.hosts.image_folder.plans import Plan
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.vocabulary.errors import IllegalTransition
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.flows import MIB, Site, digest, files
from trials.common import Trial

_STOPPED_SECONDS = 10.0
_WATCHED: tuple[tuple[Any, str], ...] = (
    (RawWriter, "write"),
    (RawWriter, "flush"),
    (RestoreRecord, "enter"),
    (RestoreRecord, "copied"),
    (RestoreRecord, "close_disk"),
    (Plan, "write"),
    (Plan, "move_in"),
    (ImageFolderTarget, "_place_description"),
    (ImageFolderTarget, "_tidy"),
)


def case(folder: Path, seed: int) -> Counter[str]:
    """Every boundary of one restore's steps, and random places; over the original in every second case."""
    chance = random.Random(seed)
    site = Site(folder, f"sqlite:///{folder / 'catalog.db'}")
    try:
        with patch.object(restoring, "CHECKPOINT_BYTES", MIB):
            return _cancelled_everywhere(site, chance, {} if seed % 2 else _BESIDE)
    finally:
        site.close()


_BESIDE = {"keep_original": True, "new_name": "copy"}


def _cancelled_everywhere(site: Site, chance: random.Random, spec: dict[str, Any]) -> Counter[str]:
    disk = site.images / "vm.raw"
    disk.write_bytes(chance.randbytes(4 * MIB))
    (site.images / "vm.vm.toml").write_text('name = "vm"\n[[disk]]\nkey = "disk0"\nfile = "vm.raw"\n')
    job_id = site.set_up(["vm"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    expected = digest(disk)
    point_id = site.points()[0].id
    seen: list[str] = []
    with _watched(seen.append):
        assert site.restore(point_id, **spec).result is SessionResult.SUCCESS
    _remove_copy(site)
    names = files(site.images)
    boundaries = [number for number, name in enumerate(seen) if name.startswith("step")]
    others = chance.sample(
        [number for number in range(len(seen)) if number not in boundaries], len(boundaries)
    )
    counts = Counter[str]()
    for number in (*boundaries, *others):
        counts += _cancelled_at(site, point_id, number, spec)
        if spec:
            _remove_copy(site)
        assert files(site.images) == names, f"left at {number}, {seen[number]}: {files(site.images) ^ names}"
        assert digest(disk) == expected
    assert site.restore(point_id, **spec).result is SessionResult.SUCCESS, "later restores go on"
    return counts


def _cancelled_at(site: Site, point_id: UUID, number: int, spec: dict[str, Any]) -> Counter[str]:
    passed = 0
    told: list[SessionState] = []
    asked_at = 0.0

    def ask(_name: str) -> None:
        nonlocal passed, asked_at
        passed += 1
        if passed == number + 1:
            asked_at = time.monotonic()
            try:
                restore.cancel(site.engine, started)
            except IllegalTransition:
                told.append(SessionState.STOPPED)
            else:
                told.append(site.restore_session(started).state)
                assert time.monotonic() - asked_at < 1

    started = site.start_restore(point_id, **spec) if number else UUID(int=0)
    # The first places may be passed before the session's id is known: then the cancel comes first of all.
    with _watched(ask):
        if not number:
            started = site.start_restore(point_id, **spec)
            ask("at once")
        session = site.restore_ended(started)
    if not told:
        return Counter({"restores that were over before": 1})
    assert told == [SessionState.STOPPING] or told == [SessionState.STOPPED], told
    assert time.monotonic() - asked_at < _STOPPED_SECONDS
    if session.result is SessionResult.SUCCESS:
        late = told == [SessionState.STOPPED] or any("too late" in event for event in site.events(session.id))
        assert late, "a cancel that came too late is told"
        return Counter({"cancels": 1, "cancels that came too late": 1})
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled"), session.reason
    assert session.progress < 100
    assert session.restored_ref is None
    return Counter({"cancels": 1})


@contextmanager
def _watched(tell: Callable[[str], None]) -> Iterator[None]:
    """``tell`` is called before and after each step, and before each of the calls that are watched."""
    step: Callable[[str, Callable[[], Any]], Any] = durable.step

    def told_step(name: str, function: Callable[[], Any]) -> Any:
        tell(f"step {name} begins")
        value = step(name, function)
        tell(f"step {name} ended")
        return value

    with ExitStack() as stack:
        stack.enter_context(patch.object(durable, "step", told_step))
        for owner, name in _WATCHED:
            stack.enter_context(patch.object(owner, name, _told(owner, name, tell)))
        yield


def _told(owner: Any, name: str, tell: Callable[[str], None]) -> Callable[..., Any]:
    real: Callable[..., Any] = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        tell(name)
        return real(*arguments, **options)

    return call


def _remove_copy(site: Site) -> None:
    for path in site.images.glob("copy.*"):
        path.unlink()


TRIAL = Trial(
    "cancels",
    "R11",
    "Stopping when the request returns, Stopped within 10 s; the VM is whole or nothing is left; others go on.",
    case,
    short=2,
    long=40,
)
