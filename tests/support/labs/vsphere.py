"""A vCenter of govmomi's simulator, built from Debian's package, with a front of ours that tracks changes.

Disks are real files of its datastore.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from restorium.hosts.interface import Login
from tests.support.certificates import Certificate
from tests.support.relay import Relay

_SOURCES = sorted((Path(__file__).parent / "vcsim").glob("*.go"))
_BUILD = Path(__file__).parents[3] / "build"
USER, PASSWORD = "administrator@vsphere.local", "not a secret"


def vcsim() -> Path:
    """The simulator, built unless it is there."""
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in _SOURCES)).hexdigest()[:16]
    program = _BUILD / f"vcsim-{digest}"
    _BUILD.mkdir(exist_ok=True)
    with (_BUILD / "vcsim.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            making = program.with_suffix(".new")
            environment = {
                **os.environ,
                "GO111MODULE": "off",
                "GOPATH": "/usr/share/gocode",
                "GOCACHE": str(_BUILD / "go"),
                "GOFLAGS": "",
            }
            subprocess.run(["go", "build", "-o", making, *_SOURCES], check=True, env=environment)
            making.rename(program)
            shutil.rmtree(_BUILD / "go", ignore_errors=True)
    return program


class VsphereLab:
    kind = "vsphere"
    disk_format = "vmdk"
    tracks = True
    powers = True
    resumes = False
    datastore_type: ClassVar[str | None] = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        certificate = Certificate(folder)
        self._copies = folder / "copies"
        self._copies.mkdir()
        kind: list[str | Path] = []
        if self.datastore_type is not None:
            (folder / "esx").mkdir()
            kind = [self.datastore_type, Certificate(folder / "esx").path]
        self._process = subprocess.Popen(
            [vcsim(), certificate.path, certificate.path, USER, PASSWORD, self._copies, *kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "vcsim.log").open("wb"),
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert self._process.stdout is not None
        place = self._process.stdout.readline().strip()
        host, _, port = place.partition(":")
        self._relay = Relay(int(port))
        self.address = f"https://{host}:{self._relay.port}"
        self.login = Login(USER, PASSWORD, certificate.thumbprint)
        context = ssl.create_default_context(cafile=str(certificate.path))
        self._instance = SmartConnect(host=host, port=int(port), user=USER, pwd=PASSWORD, sslContext=context)
        self.content = self._instance.content
        [self._datacenter] = self.read(self.content.rootFolder, "childEntity")
        [self._datastore] = self.read(self._datacenter, "datastore")
        self._store = self.read(self._datastore, "name")
        self._files = Path(self.read(self._datastore, "info").url)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        devices = [
            vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"),
            vim.vm.device.VirtualVmxnet3(
                key=4000,
                backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network"),
            ),
        ]
        (self._files / name).mkdir()
        for key, content in contents.items():
            unit = int(key.partition(":")[2])
            self.wait(
                self.content.virtualDiskManager.CreateVirtualDisk_Task(
                    name=f"[{self._store}] {name}/{unit}.vmdk",
                    datacenter=self._datacenter,
                    spec=vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
                        diskType="thin", adapterType="lsiLogic", capacityKb=len(content) // 1024
                    ),
                )
            )
            (self._files / name / f"{unit}-flat.vmdk").write_bytes(content)
            backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName=f"[{self._store}] {name}/{unit}.vmdk", diskMode="persistent"
            )
            devices.append(
                vim.vm.device.VirtualDisk(
                    key=2000 + unit,
                    controllerKey=1000,
                    unitNumber=unit,
                    capacityInKB=len(content) // 1024,
                    backing=backing,
                )
            )
        spec = vim.vm.ConfigSpec(
            name=name,
            guestId="otherGuest64",
            memoryMB=64,
            numCPUs=1,
            firmware="efi",
            files=vim.vm.FileInfo(vmPathName=f"[{self._store}] {name}/{name}.vmx"),
            deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=each) for each in devices],
        )
        [cluster] = self.read(self.read(self._datacenter, "hostFolder"), "childEntity")
        pool, folder = self.read(cluster, "resourcePool"), self.read(self._datacenter, "vmFolder")
        made = self.wait(folder.CreateVM_Task(config=spec, pool=pool))
        return str(made._moId)

    def keys(self, count: int) -> list[str]:
        return [f"scsi0:{unit}" for unit in range(count)]

    def remove_vm(self, ref: str) -> None:
        self.wait(self.vm(ref).Destroy_Task())

    def start(self, ref: str) -> None:
        self.wait(self.vm(ref).PowerOnVM_Task())

    def stop(self, ref: str) -> None:
        self.wait(self.vm(ref).PowerOffVM_Task())

    def runs(self, ref: str) -> bool:
        return str(self.read(self.vm(ref), "runtime.powerState")) == "poweredOn"

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        with self.flat(ref)[key].open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def grow(self, ref: str, key: str, size: int) -> None:
        """As somebody would in vCenter."""
        [disk] = [each for each in self.disks(self.vm(ref)) if f"scsi0:{each.unitNumber}" == key]
        disk.capacityInKB = size // 1024
        disk.capacityInBytes = size
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
        self.wait(self.vm(ref).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
        os.truncate(self.flat(ref)[key], size)

    def contents(self, ref: str) -> dict[str, bytes]:
        return {key: file.read_bytes() for key, file in self.flat(ref).items()}

    def leftovers(self) -> Sequence[str]:
        view = self.content.viewManager.CreateContainerView(
            self.content.rootFolder, [vim.VirtualMachine], True
        )
        vms = list(self.read(view, "view") or ())
        view.Destroy()
        found = [f"a snapshot of {vm}" for vm in vms if self.read(vm, "snapshot")]
        used = {self._path(device).parent for vm in vms for device in self.disks(vm)}
        homes = {self._files / self._folder(vm) for vm in vms}
        kept = used | homes
        folders = [folder for folder in self._files.iterdir() if folder.is_dir() and folder not in kept]
        found += [f"the folder {folder.name}" for folder in folders]
        flats = {self._path(device) for vm in vms for device in self.disks(vm)}
        found += [str(file) for file in self._files.rglob("*-flat.vmdk") if file not in flats]
        found += [file.name for file in self._copies.iterdir() if file.name.startswith(("lease-", "upload-"))]
        return found

    def forget_changes(self, ref: str) -> None:
        for file in self._copies.glob("52 *"):
            file.unlink()

    @contextmanager
    def cut(self) -> Iterator[None]:
        with self._relay.cut():
            yield
            for file in self._copies.glob("lease-*"):
                file.unlink()  # a lease that is not renewed is over in the end

    def close(self) -> None:
        self._relay.close()
        try:
            Disconnect(self._instance)
        finally:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(10)

    def vm(self, ref: str) -> Any:
        return self.managed(vim.VirtualMachine, ref)

    def managed(self, kind: Any, ref: str) -> Any:
        return kind(ref, self._instance._stub)

    def disks(self, vm: Any) -> list[Any]:
        disks = [
            each
            for each in self.read(vm, "config").hardware.device
            if isinstance(each, vim.vm.device.VirtualDisk)
        ]
        return sorted(disks, key=lambda disk: disk.unitNumber)

    def _path(self, device: Any) -> Path:
        path = device.backing.fileName.partition("] ")[2]
        return self._files / (path.removesuffix(".vmdk") + "-flat.vmdk")

    def flat(self, ref: str) -> dict[str, Path]:
        return {f"scsi0:{disk.unitNumber}": self._path(disk) for disk in self.disks(self.vm(ref))}

    def _folder(self, vm: Any) -> str:
        path: str = self.read(vm, "config").files.vmPathName
        return path.partition("] ")[2].partition("/")[0]

    def wait(self, task: Any) -> Any:
        while (state := str(self.read(task, "info.state"))) != "success":
            if state == "error":
                raise self.read(task, "info.error")
        return self.read(task, "info.result")

    def read(self, managed: Any, name: str) -> Any:
        """A property. By the collector, for the simulator breaks down when one that has no value is fetched."""
        collector = vmodl.query.PropertyCollector
        asked = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=managed)],
            propSet=[collector.PropertySpec(type=type(managed), pathSet=[name])],
        )
        answer = self.content.propertyCollector.RetrievePropertiesEx([asked], collector.RetrieveOptions())
        return next((each.val for found in answer.objects for each in found.propSet), None)


class VsanLab(VsphereLab):
    """Its datastore has no files that go over HTTP: disks come and go by leases."""

    datastore_type = "vsan"
