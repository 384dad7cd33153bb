"""Cloud Director: an emulator of its API, ours, in front of a folder of images that stands for its vCenter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from restorium.hosts.interface import Login
from tests.support.certificates import Certificate
from tests.support.labs.cloud_director.estate import Estate, Vm
from tests.support.labs.cloud_director.server import ACCOUNT, PASSWORD, Emulator
from tests.support.labs.image_folder import ImageFolderLab


class CloudDirectorLab:
    kind = "cloud-director"
    disk_format = "raw"
    tracks = False
    powers = True
    original_ref_stays = False

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        self.vcenter = ImageFolderLab(folder)
        self.behind = [("image-folder", "vcenter", self.vcenter.address, None)]
        self.estate = Estate(self.vcenter.address, self._has, self.vcenter.remove_vm)
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
        self.vm(ref).status = "POWERED_OFF"
        self.estate.remove_vm(self.vm(ref))

    def start(self, ref: str) -> None:
        self.vm(ref).status = "POWERED_ON"

    def runs(self, ref: str) -> bool:
        return self.vm(ref).status == "POWERED_ON"

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        self.vcenter.write(self.vm(ref).moref, key, offset, data)

    def contents(self, ref: str) -> dict[str, bytes]:
        return self.vcenter.contents(self.vm(ref).moref)

    def leftovers(self) -> Sequence[str]:
        taken_in = {vm.moref for vm in self.estate.vms.values()}
        there = {path.name.removesuffix(".vm.toml") for path in self.vcenter.folder.glob("*.vm.toml")}
        named = [vm.name for vm in self.estate.vms.values() if vm.name.startswith("restorium-")]
        return [*self.vcenter.leftovers(), *(there - taken_in), *named]

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

    def vm(self, ref: str) -> Vm:
        return self.estate.vms[ref.rpartition(":")[2]]

    def _has(self, moref: str) -> bool:
        return (self.vcenter.folder / f"{moref}.vm.toml").exists()
