"""Opening the disks of a snapshot, in whichever way their datastores give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pyVmomi import vim

from restorium.disks.interface import DiskReader
from restorium.hosts.vsphere import changes
from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.inventory import DiskPlace
from restorium.hosts.vsphere.leases import Device, Lease, leased
from restorium.hosts.vsphere.places import without_files
from restorium.hosts.vsphere.reading import FlatReader
from restorium.hosts.vsphere.streaming import Stream, StreamReader
from restorium.vocabulary.errors import HostError


@contextmanager
def opened_disks(
    connection: Connection, ref: str, snapshot: str, datacenter: str, places: Sequence[DiskPlace]
) -> Iterator[list[DiskReader]]:
    """Of a VM's snapshot: flat files in ranges, and by one export lease what is no file in its datastore."""
    streamed = without_files(connection) & {place.datastore for place in places}
    with ExitStack() as closing:
        lease = None
        if streamed:
            held = connection.object(vim.vm.Snapshot, snapshot)
            lease = closing.enter_context(
                leased(connection, lambda _: held.ExportSnapshot(), what=f"the export of {ref}")
            )
        readers: list[DiskReader] = []
        for place in places:
            allocated = changes.allocated(connection, ref, snapshot, place)
            if lease is not None and place.datastore in streamed:
                name, stream = f"[{place.datastore}] {place.path}", stream_of(lease, place)
                readers.append(closing.enter_context(StreamReader(stream, name, place.info.size, allocated)))
            else:
                url = connection.file_url(datacenter, place.datastore, place.flat_path)
                name = f"[{place.datastore}] {place.flat_path}"
                readers.append(FlatReader(connection, url, name, place.info.size, allocated))
        yield readers


def stream_of(lease: Lease, place: DiskPlace) -> Stream:
    """The disk's, each time from its beginning. Raises HostError if the lease has it not."""
    device = _device(lease, place)

    @contextmanager
    def stream() -> Iterator[tuple[Lease, Iterator[bytes]]]:
        with lease.download(device) as parts:
            yield lease, parts

    return stream


def _device(lease: Lease, place: DiskPlace) -> Device:
    """A lease names a disk by its controller's type, bus number and unit: ``/vm-67/VirtualLsiLogicController0:0``."""
    wanted = f"/{place.controller}{place.info.key.lstrip('abcdefghijklmnopqrstuvwxyz')}"
    found = [device for device in lease.disks if device.key.endswith(wanted)]
    if len(found) != 1:
        told = ", ".join(device.key for device in lease.disks) or "none"
        raise HostError(f"the export of {lease.entity} has no disk {wanted[1:]}, but {told}")
    return found[0]
