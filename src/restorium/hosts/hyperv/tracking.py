"""What changed since an earlier backup, by Hyper-V's resilient change tracking (RCT).

A reference point is made before the checkpoint that is read, so what changed since it covers all that changed since
that checkpoint. A file beside the host's disks lists the reference points of a chain of backups; those that serve no
kept backup are removed at the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PureWindowsPath
from typing import Any

import structlog

from restorium.disks.interface import Extent
from restorium.hosts.hyperv import pipelines
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.files import Volumes
from restorium.hosts.hyperv.machines import Drive
from restorium.hosts.interface import Chain, Tracked
from restorium.vocabulary.errors import DiskMissing, HostError

_log = structlog.get_logger(__name__)

_LEDGER_LIMIT = 1 << 20
_Disks = Sequence[tuple[Drive, int]]
"""Disks of the checkpoint that is read, and their sizes."""


class Tracking:
    """The changes of one VM in one chain."""

    def __init__(self, connection: Connection, volumes: Volumes, folder: str, ref: str, chain: Chain) -> None:
        self._connection = connection
        self._volumes = volumes
        self._ref = ref
        self._since = {key: _Token.parse(token) for key, token in chain.since.items()}
        self._ledger = str(PureWindowsPath(folder) / f"restorium-{chain.id}-{ref}.json")
        self._point: Mapping[str, Any] | None = None

    def begin(self) -> None:
        """Make the reference point that the next backup counts from. A host that makes none is read whole."""
        kept = {token.point for token in self._since.values() if token is not None}
        try:
            stale = [point for point in self._listed() if point not in kept]
            if stale:
                self._connection.ask(pipelines.destroy_reference_points(stale))
            made = self._connection.ask_one(pipelines.create_reference_point(self._ref))
            self._list([*sorted(kept), str(made["InstanceID"])])
            self._point = made
        except HostError as error:
            _log.warning("changes of a VM are not tracked", vm=self._ref, reason=error.message)

    def tell(self, disks: _Disks) -> dict[str, Tracked]:
        """Of each disk, by its key."""
        told = {}
        for drive, size in disks:
            token, since = self._token(drive, len(disks)), self._since.get(drive.key)
            changed, why = None, None
            if since is not None:
                try:
                    changed = list(self._changes(drive.path, since.track, size))
                except HostError as error:
                    why = f"the host cannot tell what changed since the last backup ({error.message})"
            elif drive.key in self._since:
                why = "what is noted of the last backup is no reference point of a Hyper-V host"
            told[drive.key] = Tracked(token, changed, why)
        return told

    def _token(self, drive: Drive, count: int) -> str | None:
        """A disk that the reference point does not name without doubt is not tracked."""
        if self._point is None:
            return None
        disks = [_place(str(each)) for each in self._point["VirtualDiskIdentifiers"] or ()]
        tracks = self._point["ResilientChangeTrackingIdentifiers"] or ()
        if len(disks) != len(tracks):
            return None
        found = [track for disk, track in zip(disks, tracks, strict=True) if disk == _place(drive.id)]
        if not found and count == len(tracks) == 1:
            found = list(tracks)
        return json.dumps([self._point["InstanceID"], found[0]]) if len(found) == 1 else None

    def _changes(self, path: str, track: str, size: int) -> Iterator[Extent]:
        position = 0
        while position < size:
            found = self._connection.ask_one(pipelines.changed_ranges(path, track, position, size - position))
            yield from _extents(found, size)
            processed = int(found["ProcessedByteLength"])
            if processed <= 0:
                raise HostError(f"the host looked at nothing of {path} from byte {position} on")
            position += processed

    def _listed(self) -> list[str]:
        try:
            file = self._volumes.open(self._ledger)
        except DiskMissing:
            return []
        try:
            found = json.loads(file.read(0, min(file.length, _LEDGER_LIMIT)))
            return [str(point) for point in found]
        except ValueError:
            return []
        finally:
            file.close()

    def _list(self, points: Sequence[str]) -> None:
        file = self._volumes.new(self._ledger)
        try:
            file.write(0, json.dumps(points).encode())
            file.flush()
        finally:
            file.close()


class _Token:
    """A reference point and the track of one disk in it."""

    def __init__(self, point: str, track: str) -> None:
        self.point, self.track = point, track

    @classmethod
    def parse(cls, text: str) -> _Token | None:
        try:
            point, track = json.loads(text)
        except (ValueError, TypeError):
            return None
        return cls(str(point), str(track))


def _place(instance: str) -> tuple[str, ...]:
    r"""A disk's place in its VM out of ``Microsoft:VM\CONTROLLER\NUMBER\LOCATION\D``.

    The VM's part is another in a checkpoint, and the last letter tells the drive (D) from the disk in it (L).
    """
    return tuple(instance.lower().split("\\")[1:4])


def _extents(found: Mapping[str, Any], size: int) -> Iterator[Extent]:
    offsets, lengths = found["ChangedByteOffsets"] or (), found["ChangedByteLengths"] or ()
    for offset, length in sorted(zip(map(int, offsets), map(int, lengths), strict=True)):
        end = min(offset + length, size)
        if offset < end:
            yield Extent(offset, end - offset, hole=False)
