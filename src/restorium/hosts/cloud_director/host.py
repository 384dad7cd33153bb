"""Cloud Director as a host: its VMs, each held still and read by the vCenter that it is in."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import structlog

from restorium.hosts.cloud_director.actions import Actions
from restorium.hosts.cloud_director.client import Client
from restorium.hosts.cloud_director.inventory import Inventory, VmRecord
from restorium.hosts.cloud_director.names import LONGEST_NAME
from restorium.hosts.cloud_director.networks import connections, on_networks
from restorium.hosts.cloud_director.places import Places
from restorium.hosts.cloud_director.target import Making, OverOriginal, TakenOver, inner_name
from restorium.hosts.interface import (
    Chain,
    Container,
    Host,
    LocalImage,
    Login,
    OpenVm,
    Peers,
    RestoreTarget,
    VmDescription,
    VmInfo,
)
from restorium.hosts.names import check_name
from restorium.vocabulary.errors import Conflict, HostError, VmNotFound
from restorium.vocabulary.restore import ANYWHERE, Placement

_log = structlog.get_logger(__name__)
KIND = "cloud-director"


class CloudDirector:
    """One Cloud Director, and through ``peers`` its vCenters. A VM's ref is its URN."""

    def __init__(self, address: str, login: Login) -> None:
        self._client = Client(address, login)
        self._inventory = Inventory(self._client)
        self._actions = Actions(self._client)
        self._places = Places(self._inventory)
        self._one_at_a_time = threading.Lock()
        self._peers: Peers | None = None

    def reach_by(self, peers: Peers) -> None:
        self._peers = peers

    def check(self) -> None:
        """Raises HostError unless it can be read, and one of its vCenters is a host here."""
        reasons = []
        for vcenter in self._inventory.vcenters():
            try:
                self._vcenter(vcenter).check()
            except HostError as error:
                reasons.append(error)
            else:
                return
        if reasons:
            raise reasons[0]
        raise HostError(
            f"Cloud Director {self._client.host} tells of no vCenter",
            hint="Log on as a system administrator.",
        )

    def inventory(self) -> list[VmInfo]:
        """VMs by their URN. One in a vCenter that cannot be read is listed without disks, and the reason is logged."""
        disks: dict[tuple[str, str], VmInfo] = {}
        vms = list(self._inventory.vms())
        for vcenter in {vm.vcenter for vm in vms}:
            try:
                listed = self._vcenter(vcenter).inventory()
            except HostError as error:
                _log.warning("a vCenter of Cloud Director cannot be read", reason=error.message)
                continue
            disks |= {(vcenter, info.ref): info for info in listed}
        found = []
        for vm in vms:
            info = disks.get((vm.vcenter, vm.moref))
            found.append(VmInfo(vm.ref, vm.name, () if info is None else info.disks))
        return found

    def containers(self) -> Sequence[Container]:
        return self._inventory.containers()

    @contextmanager
    def open_vm(self, ref: str, chain: Chain | None = None) -> Iterator[OpenVm]:
        vm = self._inventory.vm(ref)
        linked = connections(self._client, vm.ref)
        with self._vcenter(vm.vcenter).open_vm(vm.moref, chain) as opened:
            inner = opened.description
            settings: dict[str, Any] = {
                "vcenter": {"kind": inner.kind, "settings": dict(inner.settings)},
                "vapp": {"ref": vm.vapp, "name": vm.vapp_name},
                "vdc": vm.vdc,
                "storage_profile": vm.storage_profile,
            }
            description = VmDescription(
                vm.name,
                inner.disks,
                settings,
                kind=KIND,
                hardware=on_networks(inner.hardware, linked),
                part_of=Container("Vapp", vm.vapp, vm.vapp_name, vm.vdc),
            )
            yield replace(opened, description=description)

    def power_on(self, ref: str) -> None:
        vm = self._inventory.vm(ref)
        if not vm.runs:
            self._actions.power_on(vm.ref)

    def close(self) -> None:
        """The vCenters are others' to close."""
        self._client.close()

    def local_images(self, ref: str) -> Sequence[LocalImage] | None:
        vm = self._inventory.vm(ref)
        return self._vcenter(vm.vcenter).local_images(vm.moref)

    def remove_restored(self, ref: str, attempt: str) -> None:
        try:
            vm = self._inventory.vm(ref)
        except VmNotFound:
            for vcenter in self._inventory.vcenters():
                self._vcenter(vcenter).remove_restored(inner_name(attempt), attempt)
            return
        if self._actions.mark(vm.ref) != attempt:
            raise Conflict(
                f"{vm.name} in {vm.vapp_name} was not made by the restore {attempt}",
                hint="Remove what is left of that restore by hand.",
            )
        self._actions.remove_vm(vm.ref)
        self._vcenter(vm.vcenter).remove_restored(vm.moref, attempt)

    def restore_target(
        self,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        placement: Placement = ANYWHERE,
    ) -> RestoreTarget:
        original = self._original(original_ref)
        if new_name is None and original is not None:
            vcenter = self._vcenter(original.vcenter)
            inner = vcenter.restore_target(
                _in_vcenter(description, _name_in(vcenter, original)),
                attempt=attempt,
                original_ref=original.moref,
                new_name=None,
            )
            return OverOriginal(inner, original, self._inventory, self._actions)
        name = description.name if new_name is None else new_name
        check_name(name, of="a VM in Cloud Director", octets=LONGEST_NAME)
        settings = description.settings if description.kind == KIND else {}
        place = self._places.found(placement, original, settings)
        at = original.vcenter if original is not None else self._vcenter_of(place.vdc.ref)
        vcenter = self._vcenter(at)
        inner = vcenter.restore_target(
            _in_vcenter(description, name),
            attempt=attempt,
            original_ref="" if original is None else original.moref,
            new_name=inner_name(attempt),
        )
        self._places.refuse_taken(place, name, inner.finalised())
        cards = [nic.network or "" for nic in description.hardware.nics]
        networks = [placement.networks.get(each, each) for each in cards]
        making = Making(name, attempt, place, at, networks)
        return TakenOver(
            inner, making, self._inventory, self._actions, self._places, vcenter, self._one_at_a_time
        )

    def _original(self, ref: str) -> VmRecord | None:
        try:
            return self._inventory.vm(ref)
        except VmNotFound:
            return None

    def _vcenter_of(self, vdc: str) -> str:
        """The vCenter of a VDC: the only one there is, or that of the VMs in it."""
        known = self._inventory.vcenters()
        if len(known) == 1:
            return next(iter(known))
        used = next((vm.vcenter for vm in self._inventory.vms(f"vdc=={vdc}")), None)
        if used is None:
            raise HostError(
                "it cannot be told in which vCenter the VMs of this VDC are",
                hint="Restore to a VDC that has a VM, or beside the original.",
            )
        return used

    def _vcenter(self, ref: str) -> Host:
        address = self._inventory.vcenters().get(ref)
        if address is None or self._peers is None:
            raise HostError(f"Cloud Director {self._client.host} does not tell where its vCenter {ref} is")
        try:
            return self._peers(address)
        except HostError as error:
            raise HostError(
                f"the vCenter {address} behind Cloud Director {self._client.host} is no host here",
                hint=f"Add it first: restorium host add vsphere NAME {address} …",
            ) from error


def _name_in(vcenter: Host, vm: VmRecord) -> str:
    """What the VM is called in its vCenter, where Cloud Director has names of its own making."""
    return next((each.name for each in vcenter.inventory() if each.ref == vm.moref), vm.name)


def _in_vcenter(description: VmDescription, name: str) -> VmDescription:
    """The description as the vCenter gave it, of its own kind; of another platform's VM as it is."""
    if description.kind != KIND:
        return replace(description, name=name)
    inner = description.settings["vcenter"]
    return VmDescription(
        name,
        description.disks,
        dict(inner["settings"]),
        kind=str(inner["kind"]),
        hardware=description.hardware,
    )
