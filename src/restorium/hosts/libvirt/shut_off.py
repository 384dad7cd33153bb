"""A VM that is shut off, read through qemu-nbd, for libvirt backs up only what runs.

Bitmaps are put into the images by qemu-img, and told to libvirt as checkpoints, so that they go on when the VM runs.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from restorium.disks.interface import DiskReader
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.interface import Chain, Tracked
from restorium.hosts.libvirt import checkpoints
from restorium.hosts.libvirt.checkpoints import Token
from restorium.hosts.libvirt.domains import Disk, Domain
from restorium.hosts.libvirt.virsh import Virsh
from restorium.hosts.libvirt.workplace import Workplace
from restorium.nbd import NbdReader, UnixEndpoint, dirty_bitmap
from restorium.programs import find, leashed
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError, Unsupported

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.01
_PROGRAM_SECONDS = 120.0
_CONNECTIONS = 4


@contextmanager
def opened_shut_off(
    virsh: Virsh, domain: Domain, chain: Chain | None
) -> Iterator[tuple[Sequence[DiskReader], dict[str, Tracked]]]:
    """Readers of the disks, and what changed in them; the VM cannot start meanwhile. Raises HostError, DiskMissing."""
    images = domain.images()
    for _, path in images:
        if not path.exists():
            raise DiskMissing(f"{path}, a disk of {domain.name!r}, does not exist")
    keeps = chain is not None and checkpoints.forget_old(virsh, domain, chain)
    made = None if chain is None else _new_checkpoint(virsh, domain, chain, keeps)
    with ExitStack() as stack:
        for _, path in images:
            stack.callback(_held_still(domain, path).close)
        workplace = Workplace()
        stack.callback(workplace.close)
        readers, tracked = [], {}
        for disk, path in images:
            before = checkpoints.since(chain).get(disk.target)
            lost = None if before is None else _lost(disk, path, before, keeps)
            bitmap = None if before is None or lost is not None else before.checkpoint
            reader = stack.enter_context(_served(stack, disk, path, workplace.path / disk.target, bitmap))
            readers.append(reader)
            if before is not None and lost is None:
                lost = before.why_not(reader.size)
            changed = reader.changed(dirty_bitmap(bitmap)) if bitmap is not None and lost is None else None
            keeps = made is not None and checkpoints.can_track(disk)
            tracked[disk.target] = Tracked(
                str(Token(str(made), reader.size)) if keeps else None, changed, lost
            )
        yield readers, {} if chain is None else tracked


def _new_checkpoint(virsh: Virsh, domain: Domain, chain: Chain, keeps: bool) -> str | None:
    """In place of bitmaps that nothing needs. keeps: whether the VM can have one."""
    disks = [(disk, path) for disk, path in domain.images() if checkpoints.can_track(disk)]
    for _, path in disks:
        for name in checkpoints.not_needed(chain if keeps else Chain(chain.id, {}), list(_bitmaps(path))):
            _qemu_img("bitmap", "--remove", str(path), name)
    if not keeps:
        return None
    name = checkpoints.new_name(chain)
    try:
        for _, path in disks:
            _qemu_img("bitmap", "--add", str(path), name)
        more = f"<creationTime>{int(time.time())}</creationTime>"
        document = checkpoints.document(name, domain.disks, more).replace(
            "</domaincheckpoint>", f"{_without_declaration(domain.xml)}</domaincheckpoint>"
        )
        virsh.with_xml("checkpoint-create", domain.uuid, document, options=("--redefine",))
    except HostError:
        for _, path in disks:
            if name in _bitmaps(path):
                _qemu_img("bitmap", "--remove", str(path), name)
        return None
    return name


def _held_still(domain: Domain, path: Path) -> HeldStill:
    try:
        return HeldStill(path)
    except HostError as error:
        raise HostError(
            f"{path}, a disk of {domain.name!r}, is in use",
            hint="The VM was started just now, or another program has the image open. Run the backup again.",
        ) from error


def _without_declaration(xml: str) -> str:
    return xml.partition("?>")[2] if xml.startswith("<?xml") else xml


def _lost(disk: Disk, path: Path, before: Token, keeps: bool) -> str | None:
    """Why the bitmap says nothing; None if it does."""
    if not checkpoints.can_track(disk):
        return checkpoints.RAW
    flags = _bitmaps(path).get(before.checkpoint)
    if not keeps:
        return checkpoints.SNAPSHOTS
    if flags is None:
        return "its record of changes since the last backup is gone"
    if "in-use" in flags or "auto" not in flags:
        return "its record of changes was not closed, as after a crash of the VM"
    return None


def _bitmaps(path: Path) -> dict[str, list[str]]:
    """Flags by the name of each."""
    told: dict[str, Any] = json.loads(_qemu_img("info", "--output=json", "-f", "qcow2", str(path)))
    bitmaps = told.get("format-specific", {}).get("data", {}).get("bitmaps", [])
    return {bitmap["name"]: bitmap["flags"] for bitmap in bitmaps}


def _qemu_img(*arguments: str) -> str:
    """Raises HostError with its words, Unsupported if it is not installed."""
    try:
        done = subprocess.run(  # noqa: S603  no shell; a program of QEMU's
            [_program("qemu-img"), *arguments], capture_output=True, timeout=_PROGRAM_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"qemu-img {arguments[0]} did not end in {_PROGRAM_SECONDS:g} s") from error
    if done.returncode:
        raise HostError(done.stderr.decode(errors="replace").strip() or f"qemu-img {arguments[0]} failed")
    return done.stdout.decode()


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise Unsupported(
            f"{name} is not installed here", hint="Install QEMU's tools (on Debian: qemu-utils)."
        )
    return str(found)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line, suppress(OSError):
        line.connect(str(path))
        return True
    return False


def _served(stack: ExitStack, disk: Disk, path: Path, address: Path, bitmap: str | None) -> NbdReader:
    """The image through a qemu-nbd that ends with the last reader, or with the thread that reads."""
    command = [_program("qemu-nbd"), "--read-only", "--format", disk.format, "--socket", str(address)]
    command += [
        "--persistent",
        "--shared",
        str(_CONNECTIONS + 1),
        *(() if bitmap is None else ("--bitmap", bitmap)),
        str(path),
    ]
    server = subprocess.Popen(  # noqa: S603  no shell; a program of QEMU's
        leashed(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    stack.callback(server.communicate)
    stack.callback(server.kill)
    end = time.monotonic() + _START_SECONDS
    while not _listens(address):
        if server.poll() is not None or time.monotonic() > end:
            server.kill()
            said = server.communicate()[1].decode(errors="replace").strip()
            raise DiskDamaged(f"{path} cannot be read: {said or 'qemu-nbd does not start'}")
        time.sleep(_LOOK_SECONDS)
    contexts = () if bitmap is None else (dirty_bitmap(bitmap),)
    return NbdReader(UnixEndpoint(address), contexts=contexts, connections=_CONNECTIONS)
