"""What must hold before a restore writes: the same for one that is carried out and one that is only planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from restorium.flows.control import Control
from restorium.flows.restore_source import Examined, RestoreSource
from restorium.hosts.interface import RestoreTarget
from restorium.vocabulary.errors import RestoriumError, TargetFull

Refuse = Callable[[RestoriumError], None]
"""Given each thing that keeps the whole VM from being restored; it may raise it."""


@dataclass(frozen=True, slots=True)
class Found:
    """The point's disks as they are in the repository, and the room for them, which not every host tells.

    not_carried: what of the VM its host cannot give it, each a sentence.
    """

    disks: Sequence[Examined]
    free_bytes: int | None
    not_carried: Sequence[str] = ()

    @property
    def whole(self) -> list[Examined]:
        """The disks that can be restored."""
        return [each for each in self.disks if each.lost is None]

    @property
    def lost(self) -> dict[str, RestoriumError]:
        """Why the others cannot be, by the disk's key."""
        return {each.disk.key: each.lost for each in self.disks if each.lost is not None}

    @property
    def needed_bytes(self) -> int:
        return sum(each.data_bytes for each in self.whole)


def examine(
    source: RestoreSource, make_target: Callable[[], RestoreTarget], control: Control, refuse: Refuse
) -> Found:
    """Hold restore point and target against what a restore needs; nothing is left where it looked.

    Raises what the point's manifest and storage raise, Cancelled, and what ``refuse`` raises of the target's errors.
    """
    free: int | None = None
    not_carried: Sequence[str] = ()
    with _handed_to(refuse):
        target = make_target()
        not_carried = target.not_carried()
        target.probe()
        free = target.free_bytes()
    disks = []
    for disk in control.watched(source.description.disks):
        with control.unwinding():
            disks.append(source.examine(disk, control.cancelled))
    control.check()
    return Found(disks, free, not_carried)


def hold(found: Found, refuse: Refuse) -> None:
    """Refuse a VM of which no disk can be restored, or for which there is no room."""
    if found.lost and not found.whole:
        refuse(next(iter(found.lost.values())))
    needed, free = found.needed_bytes, found.free_bytes
    if free is not None and free < needed:
        refuse(TargetFull(f"the restore writes {needed:,} bytes, and the target has room for {free:,}"))


@contextmanager
def _handed_to(refuse: Refuse) -> Iterator[None]:
    try:
        yield
    except RestoriumError as error:
        refuse(error)
