"""A running VM's disks as they were at one moment, while it goes on writing.

What the guest overwrites is first copied to an overlay, a file that has no name as soon as QEMU has it open. QEMU
serves the overlays over NBD. All of it is in QEMU under names of ours: what a crash of this process leaves is found by
them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from restorium.disks import create_disk
from restorium.disks.interface import Extent
from restorium.hosts.image_folder.descriptions import DescribedDisk
from restorium.hosts.image_folder.folder import explained
from restorium.hosts.interface import Chain
from restorium.hosts.qemu.bitmaps import FROZEN, Action, Tracking, remove_stale, track
from restorium.hosts.qemu.nodes import attached
from restorium.hosts.qemu.qmp import NotRunning, Qmp, Refused
from restorium.hosts.qemu.serving import EXPORT, Held, Place, export, listening, reading
from restorium.hosts.room import guarded
from restorium.vocabulary.errors import HostError

Connect = Callable[[], Qmp]
_GIVEN = "restorium-nbd"
_UNDO_SECONDS = 20.0
_LOOK_SECONDS = 0.01

_log = structlog.get_logger(__name__)


@contextmanager
def fleeced(
    connect: Connect, place: Place, disks: Sequence[DescribedDisk], chain: Chain | None, owner: int
) -> Iterator[Mapping[str, Held]]:
    """The disks that the running VM has, by key. owner: the account that runs QEMU.

    Raises NotRunning, HostError.
    """
    with connect() as qmp:
        undo(qmp, place)
    with guarded(place.folder, place.name, lambda: _end(connect, place)):
        with connect() as qmp:
            trackings = [track(node, chain, running=True) for node in attached(qmp, place.folder, disks)]
            try:
                _begin(qmp, place, trackings, owner)
            except BaseException:
                with _logged(place):
                    undo(qmp, place)
                raise
        with _ended(connect, place), reading(place, trackings) as held:
            yield held


def undo(qmp: Qmp, place: Place) -> None:
    """Remove whatever a backup has made in QEMU but its bitmap. Raises HostError."""
    exports = _ours(qmp, "query-block-exports", "id")
    for name in exports:
        with suppress(Refused):
            qmp.execute("block-export-del", {"id": name, "mode": "hard"})
    _wait(lambda: not _ours(qmp, "query-block-exports", "id"), place)
    if exports or place.socket.exists():
        with suppress(Refused):
            if not qmp.execute("query-block-exports"):
                qmp.execute("nbd-server-stop")
    for name in _ours(qmp, "query-jobs", "id"):
        with suppress(Refused):
            qmp.execute("block-job-cancel", {"device": name, "force": True})
    _wait(lambda: not _ours(qmp, "query-jobs", "id"), place)
    for name in _ours(qmp, "query-named-block-nodes", "node-name"):
        qmp.execute("blockdev-del", {"node-name": name})
    for each in qmp.execute("query-named-block-nodes"):
        if any(bitmap.get("name") == FROZEN for bitmap in each.get("dirty-bitmaps", [])):
            qmp.execute("block-dirty-bitmap-remove", {"node": each["node-name"], "name": FROZEN})
    place.tidy()


@contextmanager
def _ended(connect: Connect, place: Place) -> Iterator[None]:
    """Everything is undone at the end of the block. Raises HostError, unless the block has ended by another error."""
    try:
        yield
    except BaseException:
        with _logged(place):
            _end(connect, place)
        raise
    _end(connect, place)


def _begin(qmp: Qmp, place: Place, trackings: Sequence[Tracking], owner: int) -> None:
    remove_stale(qmp, trackings)
    actions: list[Action] = []
    for number, tracking in enumerate(trackings):
        overlay = f"{EXPORT}-{number}"
        _add_overlay(qmp, place.overlay(number), overlay, tracking, owner)
        backup = {"job-id": overlay, "device": tracking.node.name, "target": overlay, "sync": "none"}
        actions += [*tracking.actions(), ("blockdev-backup", backup)]
    qmp.transact(actions)
    with listening(place) as listener:
        _start_server(qmp, place, listener.fileno())
    for number, tracking in enumerate(trackings):
        export(qmp, number, f"{EXPORT}-{number}", tracking)


def _start_server(qmp: Qmp, place: Place, listener: int) -> None:
    qmp.execute("getfd", {"fdname": _GIVEN}, give=listener)
    try:
        qmp.execute("nbd-server-start", {"addr": {"type": "fd", "data": {"str": _GIVEN}}})
    except Refused as error:
        place.socket.unlink()  # the server that runs is not ours to stop
        with suppress(Refused):
            qmp.execute("closefd", {"fdname": _GIVEN})
        raise HostError(
            f"the disks of {place.name} cannot be served: {error.reason}",
            hint="Another program uses the NBD server of this QEMU, which has only one; let it end first.",
        ) from error


def _add_overlay(qmp: Qmp, path: Path, name: str, tracking: Tracking, owner: int) -> None:
    size = tracking.node.size
    with explained(f"making {path}"):
        create_disk(path, size, "qcow2", [Extent(0, size, hole=True)]).close()
        path.chmod(0o600)
        if path.stat().st_uid != owner:
            os.chown(path, owner, -1)
    try:
        qmp.execute(
            "blockdev-add",
            {
                "driver": "qcow2",
                "node-name": name,
                "file": {"driver": "file", "filename": str(path.absolute())},
                "backing": tracking.node.name,
            },
        )
    finally:
        path.unlink()


def _end(connect: Connect, place: Place) -> None:
    try:
        with connect() as qmp:
            undo(qmp, place)
    except NotRunning:
        place.tidy()


@contextmanager
def _logged(place: Place) -> Iterator[None]:
    """An error that comes upon another, which is the one to be told."""
    try:
        yield
    except HostError as error:
        _log.warning("a VM's snapshot is left until its next backup", vm=place.name, reason=error.message)


def _ours(qmp: Qmp, query: str, member: str) -> list[str]:
    names = [str(each.get(member, "")) for each in qmp.execute(query)]
    return [name for name in names if name.startswith(f"{EXPORT}-")]


def _wait(is_so: Callable[[], bool], place: Place) -> None:
    deadline = time.monotonic() + _UNDO_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise HostError(
                f"the snapshot of {place.name} cannot be removed",
                hint="It is tried again with its next backup.",
            )
        time.sleep(_LOOK_SECONDS)
