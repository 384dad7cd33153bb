"""A Hyper-V host: its VMs, and reading one while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import PureWindowsPath
from typing import Any

import structlog

from restorium.disks.interface import DiskReader
from restorium.disks.vhdx import read_vhdx
from restorium.hosts.hyperv import changing, pipelines
from restorium.hosts.hyperv.address import Address
from restorium.hosts.hyperv.checkpoints import held_still
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.files import RemoteFile, Volumes
from restorium.hosts.hyperv.machines import (
    FORMAT,
    KIND,
    RUNNING,
    Drive,
    Machine,
    drives,
    machine,
    machines,
    read_hardware,
    read_settings,
)
from restorium.hosts.hyperv.removal import remove_restored
from restorium.hosts.hyperv.target import HyperVTarget
from restorium.hosts.hyperv.tracking import Tracking
from restorium.hosts.interface import (
    Chain,
    DiskInfo,
    LocalImage,
    Login,
    OpenVm,
    RestoreTarget,
    VmDescription,
    VmInfo,
)
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.restore import ANYWHERE, Placement

_log = structlog.get_logger(__name__)


class HyperV:
    """One host. address: as ``Address.parse`` reads it. Raises InvalidInput for another, or without an account."""

    def __init__(self, address: str, login: Login) -> None:
        parsed = Address.parse(address)
        if not login.username or login.password is None:
            raise InvalidInput(
                "a Hyper-V host needs a user name and a password", hint="Give an administrator of the host."
            )
        self._connection = Connection(parsed, login)
        self._volumes = Volumes(parsed, login)

    def check(self) -> None:
        self._disk_folder()

    def inventory(self) -> list[VmInfo]:
        """Disks whose file cannot be opened are left out, and all of a VM with physical disks, which is logged."""
        sizes = {_same(found["Path"]): int(found["Size"]) for found in self._connection.ask(pipelines.vhds())}
        places: dict[str, list[Any]] = defaultdict(list)
        for found in self._connection.ask(pipelines.drives()):
            places[str(found["VMId"]).lower()].append(found)
        return [_listed(vm, places[vm.ref], sizes) for vm in machines(self._connection)]

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        vm = machine(self._connection, ref)
        settings = read_settings(self._connection, vm)
        for drive in drives(self._connection.ask(pipelines.drives(vm.ref))):
            _check_format(drive)
        tracking = None
        if chain is not None:
            tracking = Tracking(self._connection, self._volumes, self._disk_folder(), vm.ref, chain)
            tracking.begin()
        with ExitStack() as stack:
            places = stack.enter_context(held_still(self._connection, vm.ref))
            readers = [stack.enter_context(self._reader(drive)) for drive in places]
            sizes = [reader.size for reader in readers]
            yield OpenVm(
                VmDescription(
                    vm.name,
                    tuple(
                        DiskInfo(drive.key, size, FORMAT) for drive, size in zip(places, sizes, strict=True)
                    ),
                    settings | {"Files": {drive.key: PureWindowsPath(drive.path).stem for drive in places}},
                    KIND,
                    read_hardware(settings, places),
                ),
                readers,
                {} if tracking is None else tracking.tell(list(zip(places, sizes, strict=True))),
            )

    def local_images(self, ref: str) -> Sequence[LocalImage] | None:
        machine(self._connection, ref)
        return None

    def power_on(self, ref: str) -> None:
        if machine(self._connection, ref).state != RUNNING:
            self._connection.ask(changing.start(ref))

    def remove_restored(self, ref: str, attempt: str) -> None:
        remove_restored(self._connection, self._disk_folder(), ref, attempt)

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = ANYWHERE,
    ) -> RestoreTarget:
        """``placement.storage`` is a folder of the host, its networks are virtual switches."""
        self._check_placement(placement)
        return HyperVTarget(
            self._connection,
            self._volumes,
            self._disk_folder() if placement.storage is None else placement.storage,
            description,
            attempt=attempt,
            original_ref=original_ref,
            new_name=new_name,
            placement=placement,
        )

    def close(self) -> None:
        self._connection.close()
        self._volumes.close()

    def _check_placement(self, placement: Placement) -> None:
        if placement.container is not None:
            raise InvalidInput("a Hyper-V host has no containers of VMs", hint="Leave the container out.")
        if placement.storage is not None and not self._connection.ask(pipelines.folder(placement.storage)):
            raise InvalidInput(
                f"the host has no folder {placement.storage!r}", hint="Storage is a folder, such as D:\\VMs."
            )
        wanted = set(placement.networks.values())
        if wanted:
            known = {str(found["Name"]) for found in self._connection.ask(pipelines.switches())}
            for name in sorted(wanted - known):
                raise InvalidInput(
                    f"the host has no virtual switch {name!r}", hint=f"It has {', '.join(sorted(known))}."
                )

    def _disk_folder(self) -> str:
        """Where the host keeps disks that were told no other place."""
        return str(self._connection.ask_one(pipelines.host())["VirtualHardDiskPath"])

    def _reader(self, drive: Drive) -> DiskReader:
        return read_vhdx(self._volumes.open(drive.path), self._parents(drive.path))

    def _parents(self, path: str) -> Iterator[RemoteFile]:
        """What a differencing disk builds on, the nearest first."""
        while path := str(self._connection.ask_one(pipelines.vhd(path))["ParentPath"] or ""):
            yield self._volumes.open(path)


def _listed(vm: Machine, found: Sequence[Any], sizes: dict[str, int]) -> VmInfo:
    try:
        places = drives(found)
    except Unsupported as error:
        _log.warning("a VM is listed without its disks", vm=vm.name, reason=error.message)
        places = []
    disks = (
        DiskInfo(drive.key, sizes[_same(drive.path)], FORMAT)
        for drive in places
        if _same(drive.path) in sizes
    )
    return VmInfo(vm.ref, vm.name, tuple(disks))


def _check_format(drive: Drive) -> None:
    if not drive.path.lower().endswith((".vhdx", ".avhdx")):
        raise Unsupported(
            f"the disk {drive.path} is no VHDX file",
            hint="Convert it with Convert-VHD; disks in the old VHD format are not read.",
        )


def _same(path: str) -> str:
    """Windows tells paths apart without regard to case."""
    return path.lower()
