"""vApp restore points, and restoring all VMs of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from restorium.catalog import points, restore_sessions, vapp_points
from restorium.catalog.filters import Compare
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Values
from restorium.em.call import Answer, Call
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Do, element, up
from restorium.em.restore_specs import RESTORE_BODY, object_of, refuse_linked, storage
from restorium.em.roles import READERS, RESTORERS
from restorium.em.tasks import STARTED, Started
from restorium.em.values import TEXT
from restorium.flows import inventory
from restorium.flows import restore as flows
from restorium.hosts.interface import Container
from restorium.vocabulary.backups import Algorithm, PointType
from restorium.vocabulary.errors import AccessDenied, InvalidInput, TargetExists
from restorium.vocabulary.restore import Placement, RestoreSpec


def _restore(call: Call, vapp: Row) -> Answer:
    body = call.body or {"vCloudVAppRestoreSpec": {}}
    if "vCloudVAppRestoreSpec" not in body:
        raise InvalidInput(f"{next(iter(body))} is for VMs", hint="Send vCloudVAppRestoreSpec for a vApp.")
    specs = _specs(call, vapp, body["vCloudVAppRestoreSpec"])

    def start() -> Started:
        [first, *others] = flows.start_all(call.engine, specs, call.caller)
        with call.engine.database.read() as connection:
            name = restore_sessions.get(connection, first).name
        more = f", and {len(others)} more for its other VMs" if others else ""
        return Started("RestoreSession", first, name, f"Restore session has been started{more}")

    return tasks.run(call, "StartvAppRestore", start)


def _specs(call: Call, vapp: Row, asked: Values) -> list[RestoreSpec]:
    """A restore of each VM of the vApp. Raises AccessDenied, InvalidInput, TargetExists, HostError."""
    vms = _vms(call, vapp)
    root: UUID = asked.get("HierarchyRootUid", vapp.host_id)
    elsewhere = root != vapp.host_id
    container = _container(call, vapp, root, asked)
    parameters = _by_point(vms, asked.get("VmsRestoreParameters", {}).get("Vm", []))
    specs = []
    for vm in vms:
        of_vm = parameters.get(vm.id, {})
        refuse_linked(of_vm)
        name: str | None = of_vm.get("VmNewName")
        kept = container is not None or elsewhere or name is not None
        specs.append(
            RestoreSpec(
                vm.id,
                power_on=asked.get("PowerOnAfterRestore", False),
                keep_original=kept,
                new_name=name or (vm.vm_name if kept else None),
                host_id=root if elsewhere else None,
                placement=Placement(container=container, storage=storage(call, root, of_vm)),
            )
        )
    return specs


def _vms(call: Call, vapp: Row) -> Sequence[Row]:
    """The vApp's VM restore points, all of which the caller must see."""
    with call.engine.database.read() as connection:
        vms = vapp_points.vms(connection, vapp.id)
        seen = points.vm_listing.page(
            connection,
            where=Compare("vapp_restore_point_id", "==", vapp.id),
            order=[("vm_name", False)],
            visible=call.visible,
        )
    if len(seen) < len(vms):
        raise AccessDenied(
            f"{call.caller.account} may not restore all VMs of {vapp.vapp_name}",
            hint="Restore those that you may restore one by one.",
        )
    return vms


def _by_point(vms: Sequence[Row], given: Sequence[Values]) -> Mapping[UUID, Values]:
    known = {vm.id for vm in vms}
    parameters: dict[UUID, Values] = {}
    for each in given:
        point: UUID | None = each.get("VmRestorePointUid")
        if point is None or point not in known or point in parameters:
            raise InvalidInput(
                f"VmsRestoreParameters names {point}, which is none of this vApp's VM restore points or stands twice",
                hint="Name each VM once by its VmRestorePointUid.",
            )
        parameters[point] = each
    return parameters


def _container(call: Call, vapp: Row, root: UUID, asked: Values) -> str | None:
    """Where the VMs go; None over the originals, which is where their vApp is still in the VDC that is named."""
    named: str | None = asked.get("OrgVdcRef")
    new_name: str | None = asked.get("vAppNewName")
    vdc = None if named is None else object_of(call, root, named)
    if vdc is None and new_name is None:
        return None
    listed = inventory.list_containers(call.engine, root)
    original = next((each for each in listed if each.ref == vapp.vapp_ref), None)
    if new_name is None and original is not None and original.parent == vdc:
        return None
    home = vdc or (None if original is None else original.parent)
    if home is None:
        raise InvalidInput(
            f"the vApp {vapp.vapp_name} is gone, and with it the VDC that it was in", hint="Name OrgVdcRef."
        )
    return f"{home}/{_free(listed, home, new_name or vapp.vapp_name)}"


def _free(listed: Sequence[Container], vdc: str, name: str) -> str:
    if any((each.kind, each.parent, each.name) == ("Vapp", vdc, name) for each in listed):
        raise TargetExists(f"the VDC has a vApp {name} already")
    return name


class VAppRestorePoint(Entity, plural="VAppRestorePoints", path="vAppRestorePoints", vapp_bound=True):
    """The VMs of a vApp at one moment of one job."""

    roles = READERS
    rows = vapp_points.listing
    links = (
        Do(
            "Restore",
            "POST",
            action="restore",
            roles=RESTORERS,
            run=_restore,
            gives=STARTED,
            body=RESTORE_BODY,
        ),
        BACKUP_SERVER,
        up("RestorePoint", "restore_point", query=("RestorePointId", "RestorePointName")),
        Alternate(),
    )

    created_at: datetime = element("CreationTimeUTC", query="CreationTime")
    algorithm: Algorithm = element("Algorithm", query="Algorithm")
    point_type: PointType = element("PointType", query="Type")
    hierarchy_ref: str = element("HierarchyObjRef", codec=TEXT)
