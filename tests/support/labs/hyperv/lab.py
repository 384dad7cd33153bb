"""An emulated Hyper-V host: WinRM, cmdlets and VMs are ours, the file server is Samba, disks are VHDX files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from restorium.hosts.interface import Login
from tests.support.certificates import Certificate
from tests.support.labs.hyperv import cmdlets, making
from tests.support.labs.hyperv.machines import RUNNING, SCSI, Drive, Nic, Vm, Windows
from tests.support.labs.hyperv.powershell import PowerShell
from tests.support.labs.hyperv.samba import Samba
from tests.support.labs.hyperv.winrm import WinRm

USERNAME, PASSWORD = "backup", "not a secret"


class HyperVLab:
    kind = "hyperv"
    disk_format = "vhdx"
    tracks = True
    powers = True
    resumes = True

    def __init__(self, folder: Path) -> None:
        assert cmdlets
        assert making
        self.volume, state = folder / "volume-c", folder / "state"
        self.volume.mkdir()
        state.mkdir()
        self.windows = Windows(self.volume)
        self.powershell = PowerShell(self.windows)
        self.samba = Samba(self.volume, state, USERNAME, PASSWORD)
        self.certificate = Certificate(state)
        self.winrm = WinRm(self.certificate, state / "accounts", {USERNAME: PASSWORD}, self.powershell)
        self.address = f"https://127.0.0.1:{self.winrm.port}?smb={self.samba.port}"
        self.login: Login | None = Login(USERNAME, PASSWORD, self.certificate.thumbprint)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        vm = Vm(name, 2, rf"C:\VMs\{name}", memory=2 << 30, cpus=2)
        vm.boots_from = (0, 0)
        vm.nics = [Nic(mac="00155D010203", dynamic=False, switch="External")]
        self.windows.local(vm.folder).mkdir(parents=True)
        for key, content in contents.items():
            path = rf"{vm.folder}\{name}-{key}.vhdx"
            plain = self.windows.local(path).with_suffix(".raw")
            plain.write_bytes(content)
            _run("qemu-img", "convert", "-f", "raw", "-O", "vhdx", plain, plain.with_suffix(".vhdx"))
            plain.unlink()
            vm.drives.append(Drive(SCSI, 0, int(key.rsplit("-", 1)[1]), path))
        self.windows.vms.append(vm)
        return vm.id

    def add_plain_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        ref = self.add_vm(name, contents)
        self.windows.vm(ref).nics = [Nic(switch="External")]
        return ref

    def keys(self, count: int) -> list[str]:
        return [f"scsi-0-{number}" for number in range(count)]

    def remove_vm(self, ref: str) -> None:
        vm = self.windows.vm(ref)
        self.windows.vms.remove(vm)
        for drive in vm.drives:
            self.windows.local(drive.path).unlink()

    def start(self, ref: str) -> None:
        self.windows.vm(ref).state = RUNNING

    def runs(self, ref: str) -> bool:
        return self.windows.vm(ref).state == RUNNING

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        with self.windows.lock:
            self.windows.write(self._drive(ref, key), offset, data)

    def contents(self, ref: str) -> dict[str, bytes]:
        vm = self.windows.vm(ref)
        return {f"scsi-{drive.number}-{drive.location}": self._content(drive) for drive in vm.drives}

    def leftovers(self) -> Sequence[str]:
        vms = self.windows.vms
        kept = {drive.path.lower() for vm in vms for drive in vm.drives}
        kept |= {vm.configuration.lower() for vm in vms}
        return [
            *(snapshot.name for vm in vms for snapshot in vm.snapshots),
            *(vm.name for vm in vms if "restorium" in vm.name.lower()),
            *(
                str(file)
                for file in self.volume.rglob("*")
                if file.is_file() and file.suffix != ".json" and self._windows_path(file).lower() not in kept
            ),
            *(
                str(found)
                for found in self.volume.rglob("restorium-*")
                if found.is_dir() and not any(found.iterdir())
            ),
        ]

    def forget_changes(self, ref: str) -> None:
        self.windows.points.clear()

    @contextmanager
    def cut(self) -> Iterator[None]:
        self.winrm.stop()
        self.samba.stop()
        try:
            yield
        finally:
            self.samba.start()
            self.winrm.start()

    @contextmanager
    def cut_later(self) -> Iterator[Callable[[], None]]:
        """Gives what cuts the host off until the block is left."""
        with ExitStack() as stack:
            yield lambda: stack.enter_context(self.cut())

    @contextmanager
    def full_after(self, length: int) -> Iterator[None]:
        """Files that get longer find the volume full, until the block is left."""
        self.samba.restart(length)
        try:
            yield
        finally:
            self.samba.restart()

    def resize(self, ref: str, key: str, size: int) -> None:
        """Grow a disk of a VM that is off."""
        drive = self._drive(ref, key)
        file, plain = self.windows.local(drive.path), self.volume.parent / "plain.raw"
        plain.write_bytes(self._content(drive).ljust(size, b"\0"))
        _run("qemu-img", "convert", "-f", "raw", "-O", "vhdx", plain, file)
        plain.unlink()

    def reset(self) -> None:
        """Back to an empty host."""
        self.powershell.fail.clear()
        self.powershell.held = lambda names: None
        for entry in self.volume.iterdir():
            shutil.rmtree(entry)
        self.windows = Windows(self.volume)
        self.powershell.windows = self.windows

    def close(self) -> None:
        self.winrm.stop()
        self.samba.stop()

    def _drive(self, ref: str, key: str) -> Drive:
        location = int(key.rsplit("-", 1)[1])
        return next(drive for drive in self.windows.vm(ref).drives if drive.location == location)

    def _content(self, drive: Drive) -> bytes:
        plain = self.volume.parent / "plain.raw"
        _run("qemu-img", "convert", "-U", "-f", "vhdx", "-O", "raw", self.windows.local(drive.path), plain)
        content = plain.read_bytes()
        plain.unlink()
        return content

    def _windows_path(self, file: Path) -> str:
        return "C:\\" + "\\".join(file.relative_to(self.volume).parts)


def _run(program: str, *arguments: object) -> None:
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)
