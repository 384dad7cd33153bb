"""Disks handed from QEMU to this process over NBD: the socket, the exports, the readers."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from restorium.disks.interface import DiskReader
from restorium.hosts.image_folder.folder import explained
from restorium.hosts.interface import Tracked
from restorium.hosts.qemu.bitmaps import CONTEXT, FROZEN, Tracking
from restorium.hosts.qemu.qmp import Qmp, short_name
from restorium.nbd import NbdReader, UnixEndpoint

EXPORT = "restorium-backup"
"""Begins the ids of exports, jobs and nodes that a backup makes."""
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Place:
    """What a backup of one VM may put into the folder, hidden. name: the VM, for messages."""

    folder: Path
    ref: str
    name: str

    @property
    def socket(self) -> Path:
        return self._hidden("nbd")

    def overlay(self, number: int) -> Path:
        return self._hidden(f"{number}.overlay")

    def tidy(self) -> None:
        """Remove what is there."""
        for path in self.folder.glob(self._hidden("*").name):
            path.unlink(missing_ok=True)

    def _hidden(self, what: str) -> Path:
        digest = hashlib.sha256(self.ref.encode(errors="surrogateescape")).hexdigest()
        return self.folder / f".restorium-backup-{digest[:12]}.{what}"


@dataclass(frozen=True, slots=True)
class Held:
    """A disk held still."""

    reader: DiskReader
    tracked: Tracked


@contextmanager
def listening(place: Place) -> Iterator[socket.socket]:
    """A socket for QEMU's NBD server that only this account may connect to; the name is left for the readers."""
    place.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with explained(f"making {place.socket}"), short_name(place.socket) as short:
            listener.bind(short)
            Path(short).chmod(0o600)
        listener.listen(_BACKLOG)
        yield listener


def export(qmp: Qmp, number: int, node: str, tracking: Tracking) -> None:
    qmp.execute(
        "block-export-add",
        {
            "type": "nbd",
            "id": f"{EXPORT}-{number}",
            "node-name": node,
            "name": tracking.node.key,
            "bitmaps": [] if tracking.old is None else [FROZEN],
        },
    )


@contextmanager
def reading(place: Place, trackings: Sequence[Tracking]) -> Iterator[Mapping[str, Held]]:
    """By the disks' keys. Raises HostError."""
    with ExitStack() as stack:
        held = {}
        with short_name(place.socket) as short:
            endpoint = UnixEndpoint(Path(short), f"the QEMU of {place.name}")
            for tracking in trackings:
                contexts = [] if tracking.old is None else [CONTEXT]
                reader = stack.enter_context(NbdReader(endpoint, tracking.node.key, contexts=contexts))
                changed = None if tracking.old is None else reader.changed(CONTEXT)
                held[tracking.node.key] = Held(reader, Tracked(tracking.token, changed, tracking.why))
        with suppress(FileNotFoundError):
            place.socket.unlink()
        yield held
