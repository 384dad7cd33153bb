"""VM restore points, and restoring from one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.catalog import points, restore_sessions
from restorium.catalog.listing import Row
from restorium.em import mounts, tasks
from restorium.em.bodies import Values
from restorium.em.browsing import Browsing
from restorium.em.call import Answer, Call
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Do, Down, Form, element, up
from restorium.em.restore_specs import RESTORE_BODY, object_of, refuse_linked, storage
from restorium.em.roles import FILE_RESTORERS, READERS, RESTORERS
from restorium.em.routing import Route
from restorium.em.shapes import NOTHING, Gives
from restorium.em.tasks import STARTED, Started
from restorium.em.values import TEXT
from restorium.flows import restore as flows
from restorium.vocabulary.backups import Algorithm, PointType
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.restore import Placement, RestoreSpec


def _restore(call: Call, point: Row) -> Answer:
    body = call.body or {"VmRestoreSpec": {}}
    if "vCloudVAppRestoreSpec" in body:
        raise InvalidInput("vCloudVAppRestoreSpec is for vApps", hint="Send VmRestoreSpec for a VM.")
    [asked] = body.values()
    spec = _spec(call, point, asked)

    def start() -> Started:
        session_id = flows.start(call.engine, spec, call.caller)
        with call.engine.database.read() as connection:
            name = restore_sessions.get(connection, session_id).name
        return Started("RestoreSession", session_id, name, "Restore session has been started")

    return tasks.run(call, "StartVMRestore", start)


def _spec(call: Call, point: Row, asked: Values) -> RestoreSpec:
    """Of either element; a vApp can only be named in that of Cloud Director."""
    parameters: Values = asked.get("VmRestoreParameters", {})
    named: UUID = parameters.get("VmRestorePointUid", point.id)
    if named != point.id:
        raise InvalidInput(
            f"VmRestorePointUid is {named}, the address names {point.id}", hint="Name the same point in both."
        )
    root: UUID = asked.get("HierarchyRootUid", point.host_id)
    elsewhere = root != point.host_id
    refuse_linked(parameters)
    vapp: str | None = asked.get("vAppRef")
    name: str | None = parameters.get("VmNewName")
    return RestoreSpec(
        point.id,
        power_on=asked.get("PowerOnAfterRestore", False),
        quick_rollback=asked.get("QuickRollback", False),
        keep_original=asked.get("KeepOriginalVM", False) or name is not None or elsewhere,
        new_name=name,
        host_id=root if elsewhere else None,
        placement=Placement(
            container=None if vapp is None else object_of(call, root, vapp),
            storage=storage(call, root, parameters),
        ),
    )


class VmRestorePoint(Entity, plural="VmRestorePoints", path="vmRestorePoints", vm_bound=True):
    """One VM at one moment, from which it can be restored."""

    roles = READERS
    rows = points.vm_listing
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
        up("BackupFile", "backup_file"),
        Alternate(),
        Down(
            "mounts",
            None,
            serve=mounts.list_all,
            gives=(Gives(200, mounts.MOUNTS),),
            type="VmRestorePointMountList",
            only=Form.ENTITY,
            roles=FILE_RESTORERS,
        ),
        Do(
            "Create",
            "POST",
            path="/mounts",
            type="VmRestorePointMount",
            roles=FILE_RESTORERS,
            run=mounts.create,
            gives=STARTED,
            body=mounts.MOUNT_BODY,
        ),
    )

    created_at: datetime = element("CreationTimeUTC", query="CreationTime")
    vm_name: str = element("VmName")
    algorithm: Algorithm = element("Algorithm", query="Algorithm")
    point_type: PointType = element("PointType", query="Type")
    hierarchy_ref: str = element("HierarchyObjRef", query="HierarchyObjRef", codec=TEXT)


_MOUNT = "/vmRestorePoints/{ID}/mounts/{ID}"
_FILES = Browsing(
    _MOUNT,
    mounts.find,
    readers=READERS,
    restorers=FILE_RESTORERS,
    operation="FileRestoreFromMountPoint",
    message="File is ready for download",
)

ROUTES = (
    Route("GET", _MOUNT, FILE_RESTORERS, mounts.one, gives=(Gives(200, mounts.MOUNT),)),
    Route("DELETE", _MOUNT, FILE_RESTORERS, mounts.delete, gives=NOTHING),
    *_FILES.routes(),
)
"""What is below a mount, which is no entity: its number says something only in the logon session that made it."""
