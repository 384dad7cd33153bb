"""Disks that go to a datastore by import leases.

An import makes a VM. So each disk comes as the only one of a VM of its own, its carrier; in the end the disks are taken
out of their carriers and given to the VM that is restored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyVmomi import vim, vmodl

from restorium.disks.interface import DiskReader, DiskWriter, Extent, data_extents
from restorium.disks.vmdk.stream import encoded, stream_length
from restorium.hosts.interface import DiskInfo
from restorium.hosts.vsphere import carriers
from restorium.hosts.vsphere.connection import Connection, failed
from restorium.hosts.vsphere.disks import kib
from restorium.hosts.vsphere.inventory import disks_of, extra, extra_of, read
from restorium.hosts.vsphere.leases import Device, Lease, leased
from restorium.hosts.vsphere.mapped import CAPACITY_UNIT
from restorium.hosts.vsphere.ovf import descriptor
from restorium.hosts.vsphere.places import Places
from restorium.hosts.vsphere.streaming import StreamReader
from restorium.hosts.vsphere.writing import OrderedUpload, Pieces, check_taken
from restorium.vocabulary.errors import DiskMissing, HostError

_NOTE = "Made by Restorium for a disk that is being restored; it is removed at the end of the restore."


class ImportedDisks:
    """See DisksInTheMaking."""

    def __init__(self, connection: Connection, places: Places, attempt: str) -> None:
        self._connection = connection
        self._places = places
        self._attempt = attempt

    def probe(self) -> None:
        """The server looks at a descriptor, and makes nothing."""
        self._spec(carriers.new_name(self._attempt, 0), 1, 0)

    def create(self, number: int, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        carriers.remove(self._connection, self._attempt, number)
        data = list(data_extents(extents))
        name = carriers.new_name(self._attempt, number)
        length = stream_length(kib(disk.size) * CAPACITY_UNIT, data)

        def send(pieces: Pieces) -> None:
            self._import(name, kib(disk.size), length, pieces)

        if not data:
            send(iter(()))
        return OrderedUpload(name, disk.size, data, send)

    def open(self, number: int, disk: DiskInfo) -> DiskReader:
        ref = self._written(number)
        vm = self._connection.object(vim.VirtualMachine, ref)
        name = f"disk {disk.key} of the restore"

        @contextmanager
        def stream() -> Iterator[tuple[Lease, Iterator[bytes]]]:
            with (
                leased(self._connection, lambda _: vm.ExportVm(), what=f"the export of {name}") as lease,
                lease.download(self._only(lease, name)) as parts,
            ):
                yield lease, parts

        return StreamReader(stream, name, disk.size)

    def check_written(self, number: int, disk: DiskInfo) -> None:
        self._written(number)

    def hand_over(self, numbers: Collection[int]) -> dict[int, str]:
        """Their carriers have them no more, so that they are not removed with them."""
        files = {}
        for number in numbers:
            ref = self._written(number)
            config = read(self._connection, vim.VirtualMachine, ref, "config")["config"]
            files[number] = extra_of(config.extraConfig, carriers.DISK) or ""
            taken = [
                vim.vm.device.VirtualDeviceSpec(operation="remove", device=place.device)
                for place in disks_of(config.hardware.device)
            ]
            if taken:
                self._reconfigure(ref, vim.vm.ConfigSpec(deviceChange=taken), f"taking its disk out of {ref}")
        return files

    def vmx(self, name: str) -> str:
        """The server finds a folder for it."""
        return f"[{self._places.datastore}]"

    def tidy(self) -> None:
        carriers.destroy(self._connection, self._attempt)

    def remove(self) -> None:
        carriers.remove(self._connection, self._attempt)

    def _import(self, name: str, capacity_kib: int, length: int, pieces: Pieces) -> None:
        connection = self._connection
        spec = self._spec(name, capacity_kib, length)
        pool = connection.object(vim.ResourcePool, self._places.pool)
        folder = connection.object(vim.Folder, self._places.folder)

        def start(_content: Any) -> Any:
            return pool.ImportVApp(spec=spec, folder=folder)

        with leased(connection, start, what=f"the import of {name}", importing=True) as lease:
            self._upload(lease, name, capacity_kib * CAPACITY_UNIT, length, pieces)
        config = read(connection, vim.VirtualMachine, lease.entity, "config.hardware.device")
        [place] = disks_of(config["config.hardware.device"])
        there = extra({carriers.DISK: f"[{place.datastore}] {place.path}"})
        self._reconfigure(lease.entity, vim.vm.ConfigSpec(extraConfig=there), f"noting that {name} is whole")

    def _upload(self, lease: Lease, name: str, size: int, length: int, pieces: Pieces) -> None:
        device = self._only(lease, name)

        def told() -> Pieces:
            for offset, piece in pieces:
                lease.percent = 100 * offset // size
                yield offset, piece

        check_taken(lease.upload(device, length, encoded(size, told())), name)

    def _spec(self, name: str, capacity_kib: int, length: int) -> Any:
        """What the server makes of a descriptor of the carrier. Raises HostError with what it says is wrong."""
        connection = self._connection
        described = descriptor(name, capacity_kib * CAPACITY_UNIT, length)
        asked = vim.OvfManager.CreateImportSpecParams(
            entityName=name, locale="", deploymentOption="", diskProvisioning="thin"
        )
        what = f"an import to {self._places.datastore}"
        try:
            answer = connection.call(
                lambda content: content.ovfManager.CreateImportSpec(
                    ovfDescriptor=described,
                    resourcePool=connection.object(vim.ResourcePool, self._places.pool),
                    datastore=connection.object(vim.Datastore, self._places.datastore_ref),
                    cisp=asked,
                )
            )
        except vmodl.MethodFault as fault:
            raise failed(connection.address.host, what, fault) from fault
        if answer.error or answer.importSpec is None:
            raise failed(connection.address.host, what, next(iter(answer.error or ()), None))
        answer.importSpec.configSpec.annotation = _NOTE
        return answer.importSpec

    def _reconfigure(self, ref: str, spec: Any, what: str) -> None:
        vm = self._connection.object(vim.VirtualMachine, ref)
        self._connection.task(lambda _: vm.ReconfigVM_Task(spec=spec), what=what)

    def _written(self, number: int) -> str:
        """The carrier of a disk that is there to its end. Raises DiskMissing."""
        for ref in carriers.of(self._connection, self._attempt, number):
            if carriers.disk_of(self._connection, ref):
                return ref
        raise DiskMissing(f"disk {number} of the restore was not written")

    def _only(self, lease: Lease, name: str) -> Device:
        if len(lease.disks) != 1:
            raise HostError(f"{self._connection.address.host} tells of {len(lease.disks)} disks of {name}")
        return lease.disks[0]
