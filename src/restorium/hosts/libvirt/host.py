"""A libvirt as a host: its VMs, and holding one still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from restorium.hosts.interface import (
    Chain,
    DiskInfo,
    InstantTarget,
    LocalImage,
    OpenVm,
    RestoreTarget,
    VmDescription,
    VmInfo,
)
from restorium.hosts.libvirt.domains import Disk, Domain, parse, read_domain
from restorium.hosts.libvirt.instant import InstantLibvirtTarget
from restorium.hosts.libvirt.machines import KIND, kept_settings
from restorium.hosts.libvirt.marks import Stage, read_mark
from restorium.hosts.libvirt.removal import remove_restored
from restorium.hosts.libvirt.running import opened_running
from restorium.hosts.libvirt.shut_off import opened_shut_off
from restorium.hosts.libvirt.target import LibvirtTarget
from restorium.hosts.libvirt.virsh import Virsh
from restorium.hosts.libvirt.workplace import remove_abandoned
from restorium.vocabulary.errors import RestoriumError, Unsupported, VmNotFound
from restorium.vocabulary.restore import ANYWHERE, Placement

_log = structlog.get_logger(__name__)


class Libvirt:
    """VMs of one libvirt. address: its URI. Raises InvalidInput for one that is not of this machine."""

    def __init__(self, address: str) -> None:
        self._virsh = Virsh(address)

    def check(self) -> None:
        """Raises HostError unless libvirt answers."""
        self._virsh.run("list", "--all", "--uuid")

    def inventory(self) -> list[VmInfo]:
        """Every VM that is whole, by UUID. A disk that cannot be read is left out and logged; ``open_vm`` says why."""
        found = []
        for uuid in sorted(self._virsh.names()):
            try:
                domain = read_domain(self._virsh, str(uuid))
                if _is_in_the_making(domain):
                    continue
                found.append(VmInfo(str(uuid), domain.name, self._listed(domain)))
            except VmNotFound:
                continue
        return found

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        """A running VM through a backup job, one that is shut off kept from starting, until the block is left."""
        domain = read_domain(self._virsh, ref)
        remove_abandoned()
        opened = opened_running if domain.active else opened_shut_off
        with opened(self._virsh, domain, chain) as (readers, tracked):
            infos = [
                DiskInfo(disk.target, reader.size, disk.format)
                for disk, reader in zip(domain.disks, readers, strict=True)
            ]
            settings = kept_settings(domain.xml, [path for _, path in domain.images()])
            description = VmDescription(domain.name, tuple(infos), settings, KIND, domain.hardware)
            yield OpenVm(description, readers, tracked)

    def local_images(self, ref: str) -> list[LocalImage]:
        return [LocalImage(path, disk.format) for disk, path in read_domain(self._virsh, ref).images()]

    def power_on(self, ref: str) -> None:
        if not read_domain(self._virsh, ref).active:
            self._virsh.run("start", ref)

    def close(self) -> None:
        """Nothing is kept open."""

    def remove_restored(self, ref: str, attempt: str) -> None:
        remove_restored(self._virsh, ref, attempt)

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
        return LibvirtTarget(
            self._virsh, description, attempt=attempt, original_ref=original_ref, new_name=new_name
        )

    def instant_target(
        self, description: VmDescription, *, attempt: str, new_name: str, placement: Placement = ANYWHERE
    ) -> InstantTarget:
        _refuse(placement)
        return InstantLibvirtTarget(self._virsh, description, attempt=attempt, new_name=new_name)

    def _listed(self, domain: Domain) -> tuple[DiskInfo, ...]:
        infos = []
        for disk in domain.disks:
            size = self._size(domain, disk)
            if size is not None:
                infos.append(DiskInfo(disk.target, size, disk.format))
        return tuple(infos)

    def _size(self, domain: Domain, disk: Disk) -> int | None:
        try:
            if disk.path is None:
                raise Unsupported(f"it {disk.why}")
            told = self._virsh.lines("domblkinfo", str(domain.uuid), disk.target)
            return next(int(line.split()[1]) for line in told if line.startswith("Capacity:"))
        except (RestoriumError, StopIteration) as error:
            _log.warning("a VM's disk cannot be used", vm=domain.name, disk=disk.target, reason=str(error))
            return None


def _is_in_the_making(domain: Domain) -> bool:
    mark = read_mark(parse(domain.xml))
    return mark is not None and mark.stage is not Stage.WHOLE


def _refuse(placement: Placement) -> None:
    if placement.chooses:
        raise Unsupported("on libvirt neither storage nor networks are chosen for a restored VM")
