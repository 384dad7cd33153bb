"""Cloud Director: an emulator of its API, ours, in front of a vCenter.

That is a folder of images for tests of what Cloud Director does, and the vCenter simulator for the conformance suites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restorium.hosts import open_host
from restorium.hosts.interface import Login
from tests.support.certificates import Certificate
from tests.support.labs import resumes
from tests.support.labs.cloud_director.estate import Estate, Vm
from tests.support.labs.cloud_director.server import ACCOUNT, PASSWORD, Emulator
from tests.support.labs.image_folder import ImageFolderLab

if TYPE_CHECKING:
    from tests.support.labs.vsphere import VsphereLab


class CloudDirectorLab:
    kind = "cloud-director"
    disk_format = "raw"
    tracks = False
    powers = True

    def __init__(
        self,
        folder: Path,
        certificate: Certificate | None = None,
        vcenter: ImageFolderLab | VsphereLab | None = None,
    ) -> None:
        """vcenter: a lab that stands for it, which this one closes."""
        self.vcenter: Any = vcenter or ImageFolderLab(folder)
        self.resumes = resumes(self.vcenter)
        self.behind = [(self.vcenter.kind, "vcenter", self.vcenter.address, self.vcenter.login)]
        self.estate = Estate(self.vcenter.address, self._has, self.vcenter.remove_vm, self._power)
        self.certificate = certificate or Certificate(folder)
        self.emulator = Emulator(self.estate, self.certificate)
        self.address = self.emulator.base
        self.login = Login(ACCOUNT, PASSWORD, self.certificate.thumbprint)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        moref = self.vcenter.add_vm(name, contents)
        vm = self.estate.adopt(name, moref, self.estate.vapp_named("shop"))
        return f"urn:vcloud:vm:{vm.id}"

    def keys(self, count: int) -> list[str]:
        return self.vcenter.keys(count)

    def remove_vm(self, ref: str) -> None:
        if self.runs(ref):
            self.estate.power(self.vm(ref), on=False)
        self.estate.remove_vm(self.vm(ref))

    def start(self, ref: str) -> None:
        self.estate.power(self.vm(ref), on=True)

    def runs(self, ref: str) -> bool:
        vm = self.vm(ref)
        assert not self.vcenter.powers or self.vcenter.runs(vm.moref) == (vm.status == "POWERED_ON")
        return vm.status == "POWERED_ON"

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        self.vcenter.write(self.vm(ref).moref, key, offset, data)

    def contents(self, ref: str) -> dict[str, bytes]:
        return self.vcenter.contents(self.vm(ref).moref)

    def leftovers(self) -> Sequence[str]:
        taken_in = {vm.moref for vm in self.estate.vms.values()}
        return [*self.vcenter.leftovers(), *(self._behind() - taken_in)]

    def forget_changes(self, ref: str) -> None:
        raise NotImplementedError

    @contextmanager
    def cut(self) -> Iterator[None]:
        self.emulator.away = True
        try:
            with self.vcenter.cut():
                yield
        finally:
            self.emulator.away = False

    def close(self) -> None:
        self.emulator.close()
        self.vcenter.close()

    def vm(self, ref: str) -> Vm:
        return self.estate.vms[ref.rpartition(":")[2]]

    def _has(self, moref: str) -> bool:
        return moref in self._behind()

    def _behind(self) -> set[str]:
        """The vCenter's VMs."""
        host = open_host(self.vcenter.kind, self.vcenter.address, self.vcenter.login)
        try:
            return {vm.ref for vm in host.inventory()}
        finally:
            host.close()

    def _power(self, moref: str, on: bool) -> None:
        """Only where VMs run at all: those of a folder of images are said to."""
        if not self.vcenter.powers:
            return
        if on:
            self.vcenter.start(moref)
        else:
            self.vcenter.stop(moref)


class CloudDirectorOnVcsimLab(CloudDirectorLab):
    disk_format = "vmdk"

    def __init__(self, folder: Path) -> None:
        from tests.support.labs.vsphere import VsphereLab

        behind = folder / "vcenter"
        behind.mkdir()
        super().__init__(folder, vcenter=VsphereLab(behind))
