"""What Cloud Director has, as its query service tells a system administrator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from restorium.hosts.cloud_director.client import Client, Record
from restorium.hosts.cloud_director.names import is_urn, path, urn
from restorium.hosts.interface import Container
from restorium.vocabulary.errors import HostError, InvalidInput, VmNotFound

_RUNS = "POWERED_ON"


@dataclass(frozen=True, slots=True)
class VmRecord:
    """One VM. moref: its vCenter's name of it; vcenter: the URN of that vCenter."""

    ref: str
    name: str
    moref: str
    vcenter: str
    vapp: str
    vapp_name: str
    vdc: str
    storage_profile: str
    status: str
    busy: bool

    @property
    def runs(self) -> bool:
        return self.status == _RUNS


@dataclass(frozen=True, slots=True)
class Vdc:
    ref: str
    name: str
    organisation: str


class Inventory:
    """Every method asks Cloud Director anew. Raises HostError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def vms(self, condition: str = "") -> Iterator[VmRecord]:
        """All VMs that are no templates."""
        both = f"isVAppTemplate==false;{condition}" if condition else "isVAppTemplate==false"
        for record in self._client.records("adminVM", both):
            if record.get("isDeleted") != "true" and record.get("moref"):
                yield _vm(record)

    def vm(self, ref: str) -> VmRecord:
        """Raises VmNotFound."""
        found = self._one(f"id=={ref}") if is_urn(ref, "vm") else None
        if found is None:
            raise VmNotFound(f"Cloud Director {self._client.host} has no VM {ref!r}")
        return found

    def vm_of(self, vcenter: str, moref: str) -> VmRecord | None:
        """The VM whose data is that of a vCenter's."""
        return next((vm for vm in self.vms(f"moref=={moref}") if vm.vcenter == vcenter), None)

    def vapps(self) -> Iterator[Container]:
        for record in self._client.records("adminVApp"):
            ref, vdc = urn("vapp", record["href"]), urn("vdc", record["vdc"])
            yield Container("Vapp", ref, record["name"], vdc)

    def vdcs(self) -> list[Vdc]:
        return [
            Vdc(urn("vdc", record["href"]), record["name"], urn("org", record["org"]))
            for record in self._client.records("adminOrgVdc")
        ]

    def containers(self) -> Sequence[Container]:
        """Organisations, their VDCs, and what those hold but VMs; each after what it is in."""
        organisations = [
            Container("Organization", urn("org", record["href"]), record["name"], None)
            for record in self._client.records("organization")
        ]
        vdcs = [Container("OrgVdc", vdc.ref, vdc.name, vdc.organisation) for vdc in self.vdcs()]
        profiles = [
            Container(
                "OrgVdcStorageProfile",
                urn("vdcstorageProfile", record["href"]),
                record["name"],
                urn("vdc", record["vdc"]),
            )
            for record in self._client.records("adminOrgVdcStorageProfile")
        ]
        return [*organisations, *vdcs, *profiles, *self.vapps()]

    def vcenters(self) -> dict[str, str]:
        """The address of each vCenter by its URN."""
        return {
            urn("vimserver", record["href"]): record["url"]
            for record in self._client.records("virtualCenter")
            if record.get("url")
        }

    def profile(self, vdc: Vdc, named: str) -> str:
        """The path of a storage profile of the VDC, by its name or URN. Raises InvalidInput."""
        for record in self._client.records("adminOrgVdcStorageProfile"):
            ref = urn("vdcstorageProfile", record["href"])
            if urn("vdc", record["vdc"]) == vdc.ref and named in (ref, record["name"]):
                return path(ref)
        raise InvalidInput(
            f"the VDC {vdc.name} has no storage profile {named!r}", hint="Name one of that VDC's profiles."
        )

    def networks(self, vdc: Vdc) -> dict[str, str]:
        """The address of each network that VMs of the VDC can be on, by its name."""
        return {
            record["name"]: record["href"]
            for record in self._client.records("orgVdcNetwork")
            if record.get("vdc") and urn("vdc", record["vdc"]) == vdc.ref
        }

    def _one(self, condition: str) -> VmRecord | None:
        return next(self.vms(condition), None)


def _vm(record: Record) -> VmRecord:
    try:
        return VmRecord(
            ref=urn("vm", record["href"]),
            name=record["name"],
            moref=record["moref"],
            vcenter=urn("vimserver", record["vc"]),
            vapp=urn("vapp", record["container"]),
            vapp_name=record["containerName"],
            vdc=urn("vdc", record["vdc"]),
            storage_profile=record.get("storageProfileName", ""),
            status=record.get("status", ""),
            busy=record.get("isBusy") == "true",
        )
    except KeyError as error:
        raise HostError(
            f"Cloud Director tells no {error} of the VM {record.get('name')}",
            hint="Log on as a system administrator: only they are told where a VM's data lies.",
        ) from error
