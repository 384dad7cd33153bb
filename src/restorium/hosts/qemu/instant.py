"""A VM that runs before its disks are there: QEMU on empty images over a restore point that is served over NBD.

The images have their temporary names while QEMU runs on them, and so have its QMP socket and its console. When the VM
is finalised they are renamed, and QEMU is told the new names, for it knows its disks by them. The socket and the
console come last: a name that is another's by then is left alone.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from restorium.hosts.image_folder.descriptions import Description, read_description
from restorium.hosts.image_folder.folder import explained
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.interface import DiskInfo, Door, ServedDisk, VmDescription
from restorium.hosts.overlays import FORMAT, NEARLY, RECONNECT_SECONDS, make_overlay, overlaid
from restorium.hosts.qemu.machine import PROGRAM, MachineDisk, escaped, file_source, start
from restorium.hosts.qemu.qmp import NotRunning, Qmp, Refused, Silent
from restorium.hosts.qemu.target import QemuTarget
from restorium.hosts.qemu.vm import Vm
from restorium.vocabulary.errors import HostError, TargetFull

_STARTING_SECONDS = 15.0
_ENDING_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_NO_SPACE = "No space left"


class InstantQemuTarget(QemuTarget):
    """See InstantTarget. Raises Unsupported for a disk that no qcow2 image can hold."""

    def __init__(self, folder: Path, description: VmDescription, *, attempt: str, new_name: str) -> None:
        self._made = overlaid(description)
        super().__init__(
            folder, self._made, attempt=attempt, original_ref=new_name, new_name=new_name, original=None
        )
        named = Description(new_name, ())
        self._hidden = f".restorium-{attempt}."
        self._starting = Vm(folder, f".restorium-instant-{attempt}", named)
        self._standing = Vm(folder, new_name, named)
        self._folder = folder

    def door(self, usual: Path) -> Door:
        return Door(usual)

    def start(self, served: Mapping[str, ServedDisk]) -> None:
        if self._runs():
            return
        hardware = self._made.hardware
        disks = []
        for number, disk in enumerate(self._made.disks):
            image = self._images.image(disk)
            make_overlay(image, disk.size)
            source = f"{file_source(image, FORMAT)},{_backing(served[disk.key])}"
            disks.append(MachineDisk(_node(number), source, hardware.buses.get(disk.key)))
        vm = self._starting
        start(self._folder, self._standing.ref, hardware, disks, vm.qmp, vm.console)
        with vm.connect() as qmp:
            # A guest that powers itself off would take its half moved disks along.
            qmp.execute("set-action", {"shutdown": "pause"})

    def moved(self) -> Mapping[str, float]:
        """One disk is moved after the other: QEMU holds the guest while it begins, until reads under way have ended."""
        try:
            return self._moved()
        except NotRunning as error:
            raise HostError(
                f"{self._standing.ref} ended before its disks were its own", hint="Restore it again."
            ) from error
        except Silent:  # the guest waits for a disk, and QEMU with it
            return dict.fromkeys([disk.key for disk in self._made.disks], 0.0)

    def _moved(self) -> Mapping[str, float]:
        with self._connect() as qmp:
            jobs = {job["id"]: job for job in qmp.execute("query-jobs")}
            layers = {
                device["inserted"]["node-name"]: device["inserted"]["backing_file_depth"]
                for device in qmp.execute("query-block")
                if "inserted" in device
            }
            shares = {}
            for number, disk in enumerate(self._made.disks):
                job = jobs.get(_job(number))
                if job is not None:
                    shares[disk.key] = self._share(qmp, disk, job)
                else:
                    shares[disk.key] = 0.0 if layers[_node(number)] else 1.0
                    if layers[_node(number)] and all(share == 1 for share in list(shares.values())[:-1]):
                        wanted = {"job-id": _job(number), "device": _node(number), "auto-dismiss": False}
                        qmp.execute("block-stream", wanted)
            return shares

    def finalise(self, left_out: Collection[str] = ()) -> str:
        ref = super().finalise(left_out)
        with explained(f"naming what belongs to {ref}"):
            for old, new in (
                (self._starting.qmp, self._standing.qmp),
                (self._starting.console, self._standing.console),
            ):
                if old.exists():
                    old.replace(new)
        with suppress(NotRunning), self._standing.connect() as qmp:
            described = read_description(self._folder / f"{ref}.vm.toml")
            for number, disk in enumerate(described.disks):
                _tell_name(qmp, _node(number), (self._folder / disk.file).absolute())
            qmp.execute("set-action", {"shutdown": "poweroff"})
            if qmp.execute("query-status")["status"] == "shutdown":
                qmp.execute("quit")
        return ref

    def discard(self) -> None:
        if self.finalised() is None:
            _kill(self._hidden)
            with explained(f"discarding what was restored to {self._standing.ref}"):
                self._starting.forget()
        super().discard()

    def _runs(self) -> bool:
        """Waits for a QEMU that a process which has died since was starting."""
        deadline = time.monotonic() + _STARTING_SECONDS
        while True:
            for vm in (self._starting, self._standing):
                try:
                    vm.connect().close()
                except NotRunning:
                    continue
                except Silent:
                    pass
                return True
            if time.monotonic() > deadline or not any(
                map(_in_use, map(self._images.image, self._made.disks))
            ):
                return False
            time.sleep(_LOOK_SECONDS)

    def _connect(self) -> Qmp:
        """Raises NotRunning, Silent."""
        try:
            return self._starting.connect()
        except NotRunning:
            return self._standing.connect()

    def _share(self, qmp: Qmp, disk: DiskInfo, job: Mapping[str, Any]) -> float:
        """How much of a disk is its own while it is moved, or has been."""
        if job["status"] != "concluded":
            done: float = job["current-progress"] / max(job["total-progress"], 1)
            return min(done, NEARLY)
        qmp.execute("job-dismiss", {"id": job["id"]})
        if "error" in job:
            message = f"disk {disk.key!r} of {self._standing.ref} cannot be moved: {job['error']}"
            raise TargetFull(message) if _NO_SPACE in job["error"] else HostError(message)
        return 1.0


def _backing(served: ServedDisk) -> str:
    """QEMU's options for what is below an image."""
    options = {
        "driver": "nbd",
        "server.type": "unix",
        "server.path": escaped(str(served.socket)),
        "export": escaped(served.name),
        "reconnect-delay": RECONNECT_SECONDS,
    }
    return ",".join(f"backing.{name}={value}" for name, value in options.items())


def _tell_name(qmp: Qmp, node: str, path: Path) -> None:
    """Let QEMU use an image by its new name. A second node of a file cannot lock it while the first does, hence two."""
    unlocked, locked = f"{node}-renaming", f"{node}-file"
    known = {each["node-name"] for each in qmp.execute("query-named-block-nodes")}
    for name, locking in ((unlocked, "off"), (locked, "on")):
        if locked in known:
            continue
        file = {"driver": "file", "node-name": name, "filename": str(path), "locking": locking}
        if name not in known:
            qmp.execute("blockdev-add", file)
        qmp.execute("blockdev-reopen", {"options": [{"driver": "qcow2", "node-name": node, "file": name}]})
    with suppress(Refused):
        qmp.execute("blockdev-del", {"node-name": unlocked})


def _kill(images: str) -> None:
    """End the QEMU whose images nobody wants: one that waits for its disks would take no command.

    images: what the names of all of them begin with, and no other's. Raises HostError.
    """
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError), explained(f"ending the QEMU of {images}*"):
            qemu = os.pidfd_open(int(found.parent.name))
            try:
                program, *arguments = found.read_bytes().split(b"\0")
                named = any(f"/{images}".encode() in argument for argument in arguments)
                if Path(os.fsdecode(program)).name == PROGRAM and named:
                    signal.pidfd_send_signal(qemu, signal.SIGKILL)
                    if not select.select([qemu], [], [], _ENDING_SECONDS)[0]:
                        raise HostError(f"the QEMU of {images}* does not end", hint="End it by hand.")
            finally:
                os.close(qemu)


def _in_use(image: Path) -> bool:
    if not image.exists():
        return False
    try:
        HeldStill(image).close()
    except HostError:
        return True
    return False


def _node(number: int) -> str:
    return f"disk{number}"


def _job(number: int) -> str:
    return f"restorium-move-{number}"
