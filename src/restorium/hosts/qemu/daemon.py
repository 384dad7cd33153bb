"""Images of a VM that is off, served by qemu-storage-daemon, which can keep dirty bitmaps in them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from restorium.hosts.interface import Chain
from restorium.hosts.qemu.bitmaps import remove_stale, track
from restorium.hosts.qemu.nodes import named
from restorium.hosts.qemu.qmp import Qmp
from restorium.hosts.qemu.serving import Held, Place, export, listening, reading
from restorium.programs import find, leashed
from restorium.vocabulary.errors import HostError

_PROGRAM = "qemu-storage-daemon"
_END_SECONDS = 60.0
"""Bitmaps are written to the images at the end."""
_MOST_TOLD = 500


def is_installed() -> bool:
    return find(_PROGRAM) is not None


@contextmanager
def served(place: Place, images: Mapping[str, Path], chain: Chain) -> Iterator[Mapping[str, Held]]:
    """qcow2 images, by the disk's key, held still and with the chain's bitmaps. Raises HostError."""
    place.tidy()
    try:
        with _running(place, list(images.values())) as qmp:
            names = {key: _node(number) for number, key in enumerate(images)}
            trackings = [track(node, chain, running=False) for node in named(qmp, names)]
            remove_stale(qmp, trackings)
            qmp.transact([action for tracking in trackings for action in tracking.actions()])
            for number, tracking in enumerate(trackings):
                export(qmp, number, tracking.node.name, tracking)
            with reading(place, trackings) as held:
                yield held
    finally:
        place.tidy()


@contextmanager
def _running(place: Place, images: Sequence[Path]) -> Iterator[Qmp]:
    """It ends by itself, and orderly, if this process dies."""
    program = find(_PROGRAM)
    assert program is not None
    ours, theirs = socket.socketpair()
    with ours, theirs, listening(place) as listener, tempfile.TemporaryFile() as told:
        command = [
            *(str(program), "--chardev", f"socket,id=qmp,fd={theirs.fileno()}", "--monitor", "chardev=qmp"),
            *("--nbd-server", f"addr.type=fd,addr.str={listener.fileno()}"),
        ]
        for number, image in enumerate(images):
            options = {"driver": "file", "filename": str(image.absolute())}
            command += [
                "--blockdev",
                json.dumps({"driver": "qcow2", "node-name": _node(number), "file": options}),
            ]
        daemon = subprocess.Popen(  # noqa: S603  no shell; what is run is found on the path of the server
            leashed(command, ends_by=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            pass_fds=(theirs.fileno(), listener.fileno()),
        )
        try:
            theirs.close()
            ours.settimeout(_END_SECONDS)
            try:
                qmp = Qmp(ours, place.name)
            except HostError as error:
                daemon.wait(_END_SECONDS)
                told.seek(0)
                said = told.read().decode(errors="replace").strip()[-_MOST_TOLD:]
                raise HostError(f"{_PROGRAM} does not open the images of {place.name}: {said}") from error
            yield qmp
        finally:
            _end(daemon)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _node(number: int) -> str:
    return f"restorium-disk-{number}"
