"""What a vCenter Server has: VMs with disks, and where things are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from restorium.hosts.interface import DiskInfo, Firmware, Hardware, Nic, VmInfo
from restorium.hosts.vsphere.connection import Connection, checked, failed
from restorium.vocabulary.errors import HostError, Unsupported, VmNotFound

FORMAT = "vmdk"
_BUSES = {
    vim.vm.device.VirtualIDEController: "ide",
    vim.vm.device.VirtualAHCIController: "sata",
    vim.vm.device.VirtualSCSIController: "scsi",
    vim.vm.device.VirtualNVMEController: "nvme",
}
_MOREF = re.compile(r"[A-Za-z0-9-]{1,80}")
_VM_PROPERTIES = ["name", "config.template", "config.hardware.device"]


@dataclass(frozen=True, slots=True)
class DiskPlace:
    """A disk of a VM and its file.

    controller: name of its controller's type. datastore: its name; path: of the descriptor in it; delta: of a snapshot.
    """

    info: DiskInfo
    device: Any
    controller: str
    datastore: str
    path: str
    delta: bool
    independent: bool
    change_id: str | None

    @property
    def flat_path(self) -> str:
        """Of the file that holds the bytes, as VMFS and NFS name it."""
        return self.path.removesuffix(".vmdk") + "-flat.vmdk"


def list_vms(connection: Connection) -> list[VmInfo]:
    """All VMs but templates, asked for at once."""
    found = []
    for moref, properties in collect(connection, vim.VirtualMachine, _VM_PROPERTIES):
        if not properties.get("config.template"):
            disks = tuple(place.info for place in disks_of(properties.get("config.hardware.device") or ()))
            found.append(VmInfo(moref, properties["name"], disks))
    return sorted(found, key=lambda vm: vm.ref)


def collect(connection: Connection, kind: Any, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The properties of every object of a kind, page by page, by its moref."""

    def first(content: Any) -> Any:
        view = content.viewManager.CreateContainerView(content.rootFolder, [kind], recursive=True)
        try:
            traversal = vmodl.query.PropertyCollector.TraversalSpec(
                name="view", path="view", skip=False, type=vim.view.ContainerView
            )
            chosen = vmodl.query.PropertyCollector.FilterSpec(
                objectSet=[
                    vmodl.query.PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])
                ],
                propSet=[vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(names))],
            )
            options = vmodl.query.PropertyCollector.RetrieveOptions()
            pages = [content.propertyCollector.RetrievePropertiesEx([chosen], options)]
            while pages[-1] is not None and pages[-1].token:
                pages.append(content.propertyCollector.ContinueRetrievePropertiesEx(pages[-1].token))
            return checked(each for page in pages if page is not None for each in page.objects)
        finally:
            view.Destroy()

    try:
        objects = connection.call(first)
    except vmodl.MethodFault as fault:
        raise failed(connection.address.host, "listing what it has", fault) from fault
    for each in objects:
        yield each.obj._moId, {property_.name: property_.val for property_ in each.propSet}


def read(connection: Connection, kind: Any, moref: str, *names: str) -> dict[str, Any]:
    """Properties of one object; those that it has not are left out. Raises VmNotFound."""
    missing = VmNotFound(f"{connection.address.host} has no {kind.__name__.rpartition('.')[2]} {moref!r}")
    if kind is vim.VirtualMachine and not _MOREF.fullmatch(moref):
        raise missing
    try:
        return connection.properties(connection.object(kind, moref), *names)
    except vmodl.fault.ManagedObjectNotFound:
        raise missing from None
    except vmodl.MethodFault as fault:
        raise failed(connection.address.host, f"reading {moref}", fault) from fault


def disks_of(devices: Sequence[Any]) -> list[DiskPlace]:
    """The disks among a VM's devices, in order of controllers and units. Those that are no files are left out."""
    controllers = {
        device.key: device for device in devices if isinstance(device, vim.vm.device.VirtualController)
    }
    places = []
    for device in devices:
        backing = getattr(device, "backing", None)
        name = getattr(backing, "fileName", None)
        if not isinstance(device, vim.vm.device.VirtualDisk) or not name:
            continue
        controller: Any = controllers.get(device.controllerKey or 0)
        datastore, _, path = name.removeprefix("[").partition("] ")
        size = device.capacityInBytes or device.capacityInKB * 1024
        places.append(
            DiskPlace(
                DiskInfo(
                    f"{bus_of(controller)}{getattr(controller, 'busNumber', 0)}:{device.unitNumber}",
                    size,
                    FORMAT,
                ),
                device,
                type(controller).__name__.rpartition(".")[2],
                datastore,
                path,
                delta=getattr(backing, "parent", None) is not None,
                independent=str(getattr(backing, "diskMode", "")).startswith("independent"),
                change_id=getattr(backing, "changeId", None) or None,
            )
        )
    return sorted(places, key=lambda place: (abs(place.device.controllerKey), place.device.unitNumber))


def extra(values: Mapping[str, str]) -> list[Any]:
    """Extra configuration, to be set."""
    return [vim.option.OptionValue(key=key, value=value) for key, value in values.items()]


def extra_of(values: Any, key: str) -> str | None:
    """One of a VM's extra configuration."""
    found = [each.value for each in values or () if each.key == key]
    return found[-1] if found else None


def read_extra(connection: Connection, ref: str, key: str) -> str | None:
    """One of the VM's extra configuration. Raises VmNotFound."""
    found = read(connection, vim.VirtualMachine, ref, "config.extraConfig")
    return extra_of(found.get("config.extraConfig"), key)


def bus_of(controller: Any) -> str:
    """As Hardware names it; ``disk`` of what is none of these."""
    return next((name for kind, name in _BUSES.items() if isinstance(controller, kind)), "disk")


def hardware_of(config: Any) -> Hardware:
    devices = config.hardware.device or ()
    known = set(_BUSES.values())
    buses = {place.info.key: place.info.key.rstrip(":0123456789") for place in disks_of(devices)}
    nics = tuple(
        Nic(
            device.macAddress or None,
            _network(device),
            type(device).__name__.rpartition("Virtual")[2].lower(),
        )
        for device in devices
        if isinstance(device, vim.vm.device.VirtualEthernetCard)
    )
    firmware = {"efi": Firmware.UEFI, "bios": Firmware.BIOS}.get(config.firmware or "")
    return Hardware(
        config.hardware.memoryMB or None,
        config.hardware.numCPU or None,
        firmware,
        {key: bus for key, bus in buses.items() if bus in known},
        nics,
    )


def _network(card: Any) -> str | None:
    return getattr(card.backing, "deviceName", None) or None


def datacenter_of(connection: Connection, kind: Any, moref: str) -> tuple[str, str]:
    """The datacenter above an object: its moref, and its inventory path as datastores are addressed by."""
    names: list[str] = []
    found = None
    node: Any = connection.object(kind, moref)
    while node is not None:
        properties = read(connection, type(node), node._moId, "name", "parent")
        parent = properties.get("parent")
        if isinstance(node, vim.Datacenter):
            found = node._moId
        if found is not None and parent is not None:
            names.append(properties["name"])
        node = parent
    if found is None:
        raise HostError(f"{connection.address.host}: {moref} is in no datacenter")
    return found, "/".join(reversed(names))


def check_can_be_read(name: str, place: DiskPlace) -> None:
    """Raises Unsupported for a disk of which a snapshot does not hold the bytes in one flat file."""
    if place.independent:
        raise Unsupported(
            f"disk {place.info.key} of {name} is independent, and no snapshot holds it still",
            hint="Make it dependent in the VM's settings.",
        )
    if place.delta:
        raise Unsupported(
            f"disk {place.info.key} of {name} is a snapshot's",
            hint="Consolidate the VM's snapshots, then back it up.",
        )
