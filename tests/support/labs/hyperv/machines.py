"""A Windows machine with Hyper-V, as far as it shows: volumes, disk files, VMs, checkpoints, tracked changes.

Disk files are real VHDX images, which QEMU's tools make, write and read. Of a differencing disk there is only its
behaviour: a checkpoint's new disk is a copy of the old one, which takes its place when the checkpoint goes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from uuid import uuid4

RUNNING, OFF, PAUSED = 2, 3, 9
IDE, SCSI = 0, 1
_TRACKED_GRAIN = 32768


class Refused(Exception):
    """What a cmdlet ends with."""


@dataclass
class Drive:
    type: int
    number: int
    location: int
    path: str
    disk_number: int | None = None


@dataclass
class Nic:
    name: str = "Network Adapter"
    mac: str = "000000000000"
    dynamic: bool = True
    switch: str | None = None
    legacy: bool = False
    vlan: int | None = None


@dataclass
class Snapshot:
    name: str
    drives: list[Drive]
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass
class ReferencePoint:
    vm_id: str
    disks: list[str]
    tracks: list[str]
    id: str = field(default_factory=lambda: f"Microsoft:{uuid4()}")


@dataclass
class Vm:
    name: str
    generation: int
    folder: str
    id: str = field(default_factory=lambda: str(uuid4()))
    state: int = OFF
    memory: int = 512 << 20
    dynamic: bool = False
    least_memory: int = 512 << 20
    most_memory: int = 1 << 40
    cpus: int = 1
    notes: str = ""
    secure_boot: int = 0
    secure_boot_template: str = "MicrosoftWindows"
    drives: list[Drive] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=lambda: [Nic()])
    snapshots: list[Snapshot] = field(default_factory=list)
    scsi_controllers: int = 1
    boots_from: tuple[int, int] | None = None

    @property
    def configuration(self) -> str:
        return rf"{self.folder}\Virtual Machines\{self.id.upper()}.vmcx"

    def drive_id(self, drive: Drive, holder: str | None = None, kind: str = "D") -> str:
        """holder: the checkpoint that has the drive, None for the VM itself."""
        where = rf"83F8638B-8DCA-4152-9EDA-2CA8B33039B4\{drive.number}\{drive.location}"
        return rf"Microsoft:{(holder or self.id).upper()}\{where}\{kind}"


class Windows:
    """volume: the folder that is ``C:\\``. free: what the volume says it has left; None for what it has."""

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self.free: int | None = None
        self.vms: list[Vm] = []
        self.switches = ["External"]
        self.points: list[ReferencePoint] = []
        self.tracks: dict[str, int] = {}
        """How many writes there had been when the track began, by its id."""
        self.writes: list[tuple[str, int, int]] = []
        """Of which disk file (its name before any checkpoint), and which bytes."""
        self.merges_after = 0
        """How often a VM's disks are looked at before a removed checkpoint is merged."""
        self.merging: list[tuple[Drive, str, int]] = []
        self.lock = threading.RLock()
        self.disks = r"C:\Disks"
        self.local(self.disks).mkdir()

    def local(self, path: str) -> Path:
        """This machine's file behind a path of the other. Raises Refused."""
        parts = PureWindowsPath(path).parts
        if not parts or parts[0].upper() != "C:\\" or ".." in parts:
            raise Refused(f"Cannot find path '{path}' because it does not exist.")
        return self.volume.joinpath(*parts[1:])

    def vm(self, ref: str) -> Vm:
        found = next((vm for vm in self.vms if vm.id == str(ref).lower()), None)
        if found is None:
            raise Refused(f"Hyper-V was unable to find a virtual machine with id {ref}.")
        return found

    def size(self, path: str) -> int:
        file = self.local(path)
        if not file.exists():
            raise Refused(f"Failed to open '{path}': The system cannot find the file specified.")
        done = subprocess.run(
            ["qemu-img", "info", "-U", "--output=json", "-f", "vhdx", file], capture_output=True, check=False
        )
        if done.returncode:
            raise Refused(f"'{path}': The file or directory is corrupted and unreadable.")
        return int(json.loads(done.stdout)["virtual-size"])

    def checkpoint(self, vm: Vm, name: str) -> Snapshot:
        snapshot = Snapshot(name, vm.drives)
        vm.drives = [
            Drive(each.type, each.number, each.location, self._differencing(each.path)) for each in vm.drives
        ]
        vm.snapshots.append(snapshot)
        return snapshot

    def merge(self, vm: Vm, snapshot: Snapshot) -> None:
        vm.snapshots.remove(snapshot)
        for old, drive in zip(snapshot.drives, vm.drives, strict=True):
            self.merging.append((drive, old.path, self.merges_after))
        self.go_on_merging()

    def go_on_merging(self) -> None:
        for drive, path, left in self.merging:
            if left <= 0:
                self.local(drive.path).replace(self.local(path))
                drive.path = path
        self.merging = [(drive, path, left - 1) for drive, path, left in self.merging if left > 0]

    def _differencing(self, path: str) -> str:
        disk = PureWindowsPath(path)
        new = str(disk.with_name(f"{disk.stem}_{str(uuid4()).upper()}.avhdx"))
        self.size(path)
        shutil.copyfile(self.local(path), self.local(new))
        return new

    def write(self, drive: Drive, offset: int, data: bytes) -> None:
        """As the VM would."""
        file = self.local(drive.path)
        patch = file.with_suffix(".patch")
        patch.write_bytes(data)
        command = f"write -s {patch} {offset} {len(data)}"
        subprocess.run(["qemu-io", "-f", "vhdx", "-c", command, file], check=True, capture_output=True)
        patch.unlink()
        self.writes.append((base_name(drive.path), offset, len(data)))

    def track(self) -> str:
        track = f"rctX:{uuid4()}:{uuid4()}:00000000"
        self.tracks[track] = len(self.writes)
        return track

    def changes(self, path: str, track: str, offset: int, length: int) -> list[tuple[int, int]]:
        """Offsets and lengths. Raises Refused for a track that is not known."""
        if not any(track in point.tracks for point in self.points):
            raise Refused("Invalid parameter")
        found, end = [], offset + length
        for name, start, count in self.writes[self.tracks[track] :]:
            first = start // _TRACKED_GRAIN * _TRACKED_GRAIN
            last = -(-(start + count) // _TRACKED_GRAIN) * _TRACKED_GRAIN
            if name == base_name(path) and first < end and last > offset:
                found.append((max(first, offset), min(last, end) - max(first, offset)))
        return sorted(set(found))


def base_name(path: str) -> str:
    return PureWindowsPath(path).name.split("_")[0].removesuffix(".vhdx").removesuffix(".avhdx")
