"""The catalog of VMs: their restore points, and the files in those."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from restorium.catalog import mounts as rows
from restorium.catalog import vm_names
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.browsing import Browsing, Opened
from restorium.em.call import Answer, Call
from restorium.em.documents import Link
from restorium.em.entity import Entity
from restorium.em.files import Tree
from restorium.em.members import Alternate, Do, Down, Form, Queryable, element, related, up
from restorium.em.reading import row_of
from restorium.em.roles import EVERYONE
from restorium.em.tasks import STARTED, Started
from restorium.em.values import Codec
from restorium.flows import mounts as flows
from restorium.vocabulary.errors import NotFound

_PAGE_SIZE = 10
_CULTURE = re.compile(r"(\d\d?)/(\d\d?)/(\d{4}) (\d\d?):(\d\d):(\d\d) ([AP])M", re.ASCII | re.IGNORECASE)


def _show(at: datetime) -> str:
    """``8/26/2016 7:59:00 AM``."""
    return f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S} {'AM' if at.hour < 12 else 'PM'}"


def _read(text: str) -> datetime:
    """Raises ValueError."""
    match = _CULTURE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    month, day, year, hour, minute, second = map(int, match.groups()[:6])
    if not 1 <= hour <= 12:
        raise ValueError(text)
    half = 0 if match[7].upper() == "A" else 12
    return datetime(year, month, day, hour % 12 + half, minute, second, tzinfo=UTC)


_MOMENT = Codec(_show, _read, "a moment such as 8/26/2016 7:59:00 AM")


class CatalogVm(Entity, plural="CatalogVms", path="catalog/vms", vm_bound=True, queried=False, named=True):
    """A name under which VMs were backed up: that is all that identifies one in its address and in its UID."""

    roles = EVERYONE
    rows = vm_names.listing
    links = (
        Alternate(),
        Down("vmRestorePoints", "CatalogVmRestorePoint", column="catalog_vm_id"),
    )


def _browse(call: Call, point: Row) -> Answer:
    def start() -> Started:
        flows.browse(call.engine, call.logon, point, call.caller)
        path = f"{_address('', point)}/"
        message = "Restore point can be browsed"
        return Started("FileSystemItemsList", None, None, message, rel="Down", path=path)

    return tasks.run(call, "BrowseVM", start)


class CatalogVmRestorePoint(
    Entity,
    plural="CatalogVmRestorePoints",
    path="catalog/vms/{ID}/vmRestorePoints",
    within="catalog_vm_id",
    queried=False,
):
    """A VM restore point under the name of its VM, and under the moment at which it was made."""

    roles = EVERYONE
    rows = vm_names.point_listing
    naming = Queryable("Name", "second", _MOMENT)
    links = (
        up("CatalogVm", "catalog_vm", only=Form.REFERENCE),
        Alternate(),
        up("CatalogVm", "catalog_vm", form=Form.ENTITY, only=Form.ENTITY),
        Do("Browse", "POST", action="browse", roles=EVERYONE, run=_browse, gives=STARTED),
        related("VmRestorePoint", "vm_restore_point", form=Form.ENTITY, only=Form.ENTITY),
    )

    created_at: datetime = element("BackupDateUTC", query="CreationTime")


def _find(call: Call) -> Opened:
    """The browse of the restore point that the path names. Raises NotFound where the caller has not begun one."""
    with call.engine.database.read() as connection:
        point = row_of(call, CatalogVmRestorePoint, connection)
        row = rows.find(connection, call.logon, point.id, rows.BROWSE)
    if row is None:
        raise NotFound(
            f"this logon session does not browse restore point {point.id}",
            hint="A browse ends with the logon session that began it: POST ?action=browse to the restore point.",
        )
    href = _address(call.base, point)
    above = Link("Up", f"{href}/", None, "DirectoryEntry")
    name = CatalogVmRestorePoint.name_of(point)
    top = Link("Up", CatalogVmRestorePoint.at(call.base, point), name, "CatalogVmRestorePointReference")
    return Opened(row, Tree(flows.opened(call.engine, row), href, above, _PAGE_SIZE, top))


def _address(base: str, point: Row) -> str:
    return f"{CatalogVmRestorePoint.at(base, point)}/guestfs"


ROUTES = Browsing(
    f"/{CatalogVmRestorePoint.path}/{{ID}}/guestfs",
    _find,
    readers=EVERYONE,
    restorers=EVERYONE,
    operation="RestoreFile",
    message="Restore operations started successfully.",
    session="Restore job session",
    home=True,
).routes(root=True)
"""The files of a restore point that the caller browses."""
