"""Where in Cloud Director a restored VM goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from restorium.hosts.cloud_director.inventory import Inventory, Vdc, VmRecord
from restorium.hosts.cloud_director.names import LONGEST_NAME
from restorium.hosts.interface import Container
from restorium.hosts.names import check_name
from restorium.vocabulary.errors import InvalidInput, TargetExists
from restorium.vocabulary.restore import Placement


@dataclass(frozen=True, slots=True)
class Place:
    """A VDC, and in it the vApp, which is made where ``vapp`` is None.

    profile: path of the storage profile, None for the VDC's own choice. known: addresses of the VDC's networks by name.
    """

    vdc: Vdc
    vapp: str | None
    vapp_name: str
    profile: str | None
    known: Mapping[str, str]


class Places:
    """Finds places by what a caller names, else by where the original is or was."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def found(self, placement: Placement, original: VmRecord | None, settings: Mapping[str, Any]) -> Place:
        """settings: of the description, of Cloud Director or empty. Raises InvalidInput, HostError."""
        vdcs = {vdc.ref: vdc for vdc in self._inventory.vdcs()}
        vapps = list(self._inventory.vapps())
        was_in = str(settings["vapp"]["name"]) if settings else "restored"
        if placement.container is not None:
            vdc, vapp, name = self._named(placement.container, vdcs, vapps, was_in)
        elif original is not None:
            vdc, vapp, name = vdcs[original.vdc], original.vapp, original.vapp_name
        else:
            home = settings.get("vdc") if settings.get("vdc") in vdcs else None
            if home is None and len(vdcs) != 1:
                raise InvalidInput(
                    "it cannot be told to which VDC the VM belongs",
                    hint="Name the VDC, or VDC/vApp, as the container to restore to.",
                )
            vdc, name = vdcs[home or next(iter(vdcs))], was_in
            vapp = _in(vdc, name, vapps)
        known = self._inventory.networks(vdc)
        for wanted in placement.networks.values():
            if wanted not in known:
                raise InvalidInput(
                    f"the VDC {vdc.name} has no network {wanted!r}",
                    hint=f"It has {', '.join(sorted(known)) or 'none'}.",
                )
        profile = None if placement.storage is None else self._inventory.profile(vdc, placement.storage)
        return Place(
            vdc, vapp, check_name(name, of="a vApp in Cloud Director", octets=LONGEST_NAME), profile, known
        )

    def refuse_taken(self, place: Place, name: str, own: str | None = None) -> None:
        """Raises TargetExists if a VM in the place's vApp has the name, but for the one of that moref."""
        for vm in () if place.vapp is None else self._inventory.vms(f"container=={place.vapp}"):
            if vm.name == name and vm.moref != own:
                raise TargetExists(f"the vApp {vm.vapp_name} has a VM {name} already")

    def _named(
        self, named: str, vdcs: Mapping[str, Vdc], vapps: list[Container], was_in: str
    ) -> tuple[Vdc, str | None, str]:
        """``named``: URN of a vApp, or name or URN of a VDC, behind which ``/`` and the name of a vApp may stand."""
        for vapp in vapps:
            vdc = vdcs.get(vapp.parent or "")
            if vapp.ref == named and vdc is not None:
                return vdc, vapp.ref, vapp.name
        holder, _, inside = named.partition("/")
        found = [vdc for vdc in vdcs.values() if holder in (vdc.ref, vdc.name)]
        if len(found) != 1:
            problem = "several VDCs are" if found else "no VDC or vApp is"
            raise InvalidInput(
                f"{problem} named {named!r}",
                hint="Name a vApp or VDC by the reference that the look-up gives.",
            )
        name = inside or was_in
        return found[0], _in(found[0], name, vapps), name

    def again(self, place: Place) -> Place:
        """The place as it is now: another VM's restore may have made its vApp."""
        if place.vapp is not None:
            return place
        return replace(place, vapp=_in(place.vdc, place.vapp_name, list(self._inventory.vapps())))


def _in(vdc: Vdc, name: str, vapps: list[Container]) -> str | None:
    return next((vapp.ref for vapp in vapps if (vapp.parent, vapp.name) == (vdc.ref, name)), None)
