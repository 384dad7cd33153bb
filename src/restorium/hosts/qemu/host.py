"""The folder as a host of VMs that run under QEMU and of those that are off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from restorium.disks import detect_format
from restorium.hosts.image_folder import ImageFolder
from restorium.hosts.image_folder.descriptions import DescribedDisk
from restorium.hosts.image_folder.folder import inside
from restorium.hosts.image_folder.hardware import read_hardware
from restorium.hosts.image_folder.opening import described, disk_info, open_still
from restorium.hosts.interface import (
    Chain,
    InstantTarget,
    LocalImage,
    OpenVm,
    RestoreTarget,
    Tracked,
    VmDescription,
    VmInfo,
)
from restorium.hosts.qemu import daemon
from restorium.hosts.qemu.fleece import fleeced
from restorium.hosts.qemu.instant import InstantQemuTarget
from restorium.hosts.qemu.machine import MachineDisk, file_source, start
from restorium.hosts.qemu.qmp import NotRunning
from restorium.hosts.qemu.serving import Held, Place
from restorium.hosts.qemu.target import KIND, QemuTarget
from restorium.hosts.qemu.vm import Hold, Vm
from restorium.vocabulary.errors import HostError, Unsupported, VmNotFound
from restorium.vocabulary.restore import ANYWHERE, Placement

_log = structlog.get_logger(__name__)


class QemuFolder:
    """An image folder whose VMs may run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = ImageFolder(folder)

    def check(self) -> None:
        self._images.check()

    def inventory(self) -> list[VmInfo]:
        return self._images.inventory()

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        """Through its QEMU if it runs, else by qemu-storage-daemon where changes are tracked, else as files."""
        vm = self._vm(ref)
        with ExitStack() as stack:
            hold = stack.enter_context(vm.held())
            hold.share()
            held = self._of_running(stack, hold, vm, chain)
            if held is None:
                held = self._of_stopped(stack, hold, vm, chain)
            given = {} if chain is None else chain.since
            for disk in vm.description.disks:
                if disk.key not in held:
                    held[disk.key] = _as_file(stack, self._folder, disk, given.get(disk.key))
            infos = tuple(
                disk_info(inside(self._folder, disk.file), disk, held[disk.key].reader.size)
                for disk in vm.description.disks
            )
            yield OpenVm(
                described(vm.description, infos, KIND),
                [held[disk.key].reader for disk in vm.description.disks],
                {key: each.tracked for key, each in held.items()},
            )

    def power_on(self, ref: str) -> None:
        vm = self._vm(ref)
        try:
            with vm.connect() as qmp:
                if not qmp.execute("query-status")["running"]:
                    qmp.execute("cont")
                return
        except NotRunning:
            pass
        hardware = read_hardware(vm.description)
        disks = [
            MachineDisk(f"disk{number}", file_source(image.path, image.format), hardware.buses.get(disk.key))
            for number, (image, disk) in enumerate(
                zip(self.local_images(ref), vm.description.disks, strict=True)
            )
        ]
        start(vm.qmp.parent, vm.description.name, hardware, disks, vm.qmp, vm.console)

    def close(self) -> None:
        """Nothing is kept open."""

    def local_images(self, ref: str) -> list[LocalImage]:
        return self._images.local_images(ref)

    def remove_restored(self, ref: str, attempt: str) -> None:
        try:
            vm = self._vm(ref)
        except VmNotFound:
            vm = None
        if vm is not None and vm.description.restored_by == attempt:
            vm.quit()
            vm.forget()
        self._images.remove_restored(ref, attempt)

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = ANYWHERE,
    ) -> RestoreTarget:
        _refuse(placement)
        original = None
        if new_name is None:
            try:
                original = self._vm(original_ref)
            except HostError:
                original = None  # the images' own target says what cannot be
        return QemuTarget(
            self._folder,
            description,
            attempt=attempt,
            original_ref=original_ref,
            new_name=new_name,
            original=original,
        )

    def instant_target(
        self, description: VmDescription, *, attempt: str, new_name: str, placement: Placement = ANYWHERE
    ) -> InstantTarget:
        _refuse(placement)
        return InstantQemuTarget(self._folder, description, attempt=attempt, new_name=new_name)

    def _vm(self, ref: str) -> Vm:
        return Vm(self._folder, ref, self._images.description(ref))

    def _of_running(
        self, stack: ExitStack, hold: Hold, vm: Vm, chain: Chain | None
    ) -> dict[str, Held] | None:
        """None if it is off."""
        if not vm.runs():
            return None
        hold.alone()
        place = Place(self._folder, vm.ref, vm.description.name)
        try:
            return dict(
                stack.enter_context(fleeced(vm.connect, place, vm.description.disks, chain, vm.owner()))
            )
        except NotRunning:
            return None

    def _of_stopped(self, stack: ExitStack, hold: Hold, vm: Vm, chain: Chain | None) -> dict[str, Held]:
        """Of those whose images keep bitmaps."""
        if chain is None or not daemon.is_installed():
            return {}
        images = {}
        with ExitStack() as looking:  # what an image folder refuses is refused before anything else opens it
            for disk in vm.description.disks:
                open_still(looking, self._folder, disk)
                path = inside(self._folder, disk.file)
                if (disk.format or detect_format(path)) == "qcow2":
                    images[disk.key] = path
        if not images:
            return {}
        hold.alone()
        place = Place(self._folder, vm.ref, vm.description.name)
        return dict(stack.enter_context(daemon.served(place, images, chain)))


def _refuse(placement: Placement) -> None:
    if placement.chooses:
        raise Unsupported("a folder of VMs has neither storage nor networks to choose from")


def _as_file(stack: ExitStack, folder: Path, disk: DescribedDisk, token: str | None) -> Held:
    """A disk that nobody writes to and that nothing is tracked of."""
    why = "nothing keeps a list of its changes while the VM is off"
    return Held(open_still(stack, folder, disk), Tracked(why=None if token is None else why))
