"""Disks as files of a datastore: a folder ``restorium-<attempt>``, written and read over HTTPS."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pyVmomi import vim, vmodl

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.interface import DiskInfo
from restorium.hosts.vsphere.connection import Connection, failed
from restorium.hosts.vsphere.disks import kib, label, remove_disk, remove_file
from restorium.hosts.vsphere.mapped import CAPACITY_UNIT
from restorium.hosts.vsphere.places import Places
from restorium.hosts.vsphere.reading import FlatReader
from restorium.hosts.vsphere.writing import OrderedUpload, Pieces, check_taken

_PART_BYTES = 1 << 20


class UploadedDisks:
    """See DisksInTheMaking."""

    def __init__(self, connection: Connection, places: Places, attempt: str) -> None:
        self._connection = connection
        self._places = places
        self._folder = f"[{places.datastore}] {label(attempt)}"

    def probe(self) -> None:
        probed = f"{self._folder}-probe"
        self._make_folder(probed)
        remove_file(self._connection, self._datacenter, probed)

    def create(self, number: int, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        self._make_folder(self._folder)
        file = self._file(number)
        remove_disk(self._connection, self._datacenter, file)
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=kib(disk.size)
        )
        self._connection.task(
            lambda content: content.virtualDiskManager.CreateVirtualDisk_Task(
                name=file, datacenter=self._datacenter, spec=spec
            ),
            what=f"making {file}",
        )

        def send(pieces: Pieces) -> None:
            self._send(file, kib(disk.size) * CAPACITY_UNIT, pieces)

        return OrderedUpload(file, disk.size, extents, send)

    def open(self, number: int, disk: DiskInfo) -> DiskReader:
        file = self._file(number)
        return FlatReader(self._connection, self._url(file), file, disk.size)

    def check_written(self, number: int, disk: DiskInfo) -> None:
        with self.open(number, disk) as reader:
            reader.read_into(max(disk.size - 1, 0), memoryview(bytearray(min(disk.size, 1))))

    def hand_over(self, numbers: Collection[int]) -> dict[int, str]:
        return {number: self._file(number) for number in numbers}

    def vmx(self, name: str) -> str:
        file = "".join(each if each.isalnum() or each in "-_." else "_" for each in name)
        return f"{self._folder}/{file}.vmx"

    def tidy(self) -> None:
        """There is nothing but what the VM has."""

    def remove(self) -> None:
        remove_file(self._connection, self._datacenter, self._folder)

    def _send(self, file: str, size: int, pieces: Pieces) -> None:
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        content = _with_zeros(pieces, size)
        with self._connection.request("PUT", self._url(file), headers=headers, content=content) as answer:
            answer.read()
            check_taken(answer.status_code, file)

    @property
    def _datacenter(self) -> Any:
        return self._connection.object(vim.Datacenter, self._places.datacenter)

    def _file(self, number: int) -> str:
        return f"{self._folder}/disk{number}.vmdk"

    def _url(self, file: str) -> str:
        datastore, _, path = file.removeprefix("[").partition("] ")
        flat = path.removesuffix(".vmdk") + "-flat.vmdk"
        return self._connection.file_url(self._places.datacenter_path, datastore, flat)

    def _make_folder(self, name: str) -> None:
        try:
            self._connection.call(
                lambda content: content.fileManager.MakeDirectory(
                    name=name, datacenter=self._datacenter, createParentDirectories=False
                )
            )
        except vim.fault.FileAlreadyExists:
            return
        except vmodl.MethodFault as fault:
            raise failed(self._connection.address.host, f"making the folder {name}", fault) from fault


def _with_zeros(pieces: Pieces, size: int) -> Iterator[bytes]:
    at = 0
    for offset, piece in pieces:
        yield from _zeros(offset - at)
        yield piece
        at = offset + len(piece)
    yield from _zeros(size - at)


def _zeros(count: int) -> Iterator[bytes]:
    for at in range(0, count, _PART_BYTES):
        yield bytes(min(_PART_BYTES, count - at))
