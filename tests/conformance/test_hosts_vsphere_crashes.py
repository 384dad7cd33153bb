"""A restore to a vCenter Server that stops while it gives a VM its disks can be gone on with, and taken back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Host, RestoreTarget, VmDescription
from restorium.hosts.vsphere.connection import Connection
from tests.support.disks import MIB
from tests.support.labs import open_lab
from tests.support.labs.vsphere import VsphereLab

pytestmark = pytest.mark.slow

BEFORE = {f"scsi0:{unit}": random.Random(unit).randbytes(MIB) for unit in range(2)}
AFTER = {f"scsi0:{unit}": random.Random(10 + unit).randbytes(MIB) for unit in range(2)}


class Stopped(Exception):
    """The process is no more."""


@pytest.fixture(params=["vsphere", "vsphere on vSAN"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VsphereLab]:
    made = open_lab(request.param, tmp_path)
    assert isinstance(made, VsphereLab)
    yield made
    made.close()


@pytest.fixture
def host(lab: VsphereLab) -> Iterator[Host]:
    opened = open_host(lab.kind, lab.address, lab.login)
    yield opened
    opened.close()


@pytest.mark.parametrize("done", [False, True], ids=["before the server did it", "after the server did it"])
@pytest.mark.parametrize("new_name", ["web2", None], ids=["beside", "over"])
def test_a_restore_that_stops_at_any_task_is_whole_in_the_end_or_was_never_there(
    lab: VsphereLab, host: Host, monkeypatch: pytest.MonkeyPatch, new_name: str | None, done: bool
) -> None:
    ref = lab.add_vm("web", BEFORE)
    with host.open_vm(ref) as opened:
        description = opened.description
    attempts = count()

    def begun() -> tuple[str, Callable[[], RestoreTarget]]:
        attempt = f"a{next(attempts)}"

        def target() -> RestoreTarget:
            return host.restore_target(description, attempt=attempt, original_ref=ref, new_name=new_name)

        _write(target(), description)
        return attempt, target

    stops = 0
    while True:
        attempt, target = begun()
        if _finalise(target(), stops, done, monkeypatch):
            break
        made = target().finalise()
        assert lab.contents(made) == AFTER, f"stopped at {stops}"
        assert not lab.leftovers(), f"stopped at {stops}"
        _undo(lab, host, made, ref, attempt)

        attempt, target = begun()
        assert not _finalise(target(), stops, done, monkeypatch)
        stands = target().finalised()
        target().discard()
        assert not lab.leftovers(), f"taken back after {stops}"
        assert lab.contents(ref) == (AFTER if stands == ref else BEFORE), f"taken back after {stops}"
        if stands is not None:
            assert lab.contents(stands) == AFTER
            _undo(lab, host, stands, ref, attempt)
        stops += 1
    assert stops >= 1


def _finalise(target: RestoreTarget, stops: int, done: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it came to its end, because there are not so many tasks."""
    task, seen = Connection.task, count()

    def stopping(self: Connection, *arguments: Any, **more: Any) -> Any:
        if next(seen) < stops:
            return task(self, *arguments, **more)
        if done:
            task(self, *arguments, **more)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "task", stopping)
        try:
            target.finalise()
        except Stopped:
            return False
    return True


def _write(target: RestoreTarget, description: VmDescription) -> None:
    for disk in description.disks:
        with target.create_disk(disk, [Extent(0, disk.size, hole=False)]) as writer:
            writer.write(0, AFTER[disk.key])
            writer.flush()


def _undo(lab: VsphereLab, host: Host, made: str, ref: str, attempt: str) -> None:
    """Have everything as it was before the restore."""
    if made != ref:
        host.remove_restored(made, attempt)
        assert not lab.leftovers()
        return
    for key, content in BEFORE.items():
        lab.write(ref, key, 0, content)
