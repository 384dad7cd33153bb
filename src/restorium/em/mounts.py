"""Mounts of VM restore points: what their requests do. They belong to the logon session that made them."""

from __future__ import annotations

import re
from enum import StrEnum

from restorium.catalog import mounts as rows
from restorium.catalog.listing import Row
from restorium.em import files, tasks
from restorium.em.bodies import Field, Spec
from restorium.em.browsing import Opened
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Link, Resource
from restorium.em.entity import entity
from restorium.em.files import Tree
from restorium.em.reading import row_of
from restorium.em.shapes import Child, Listed, Shape, addressed
from restorium.em.tasks import Started
from restorium.em.values import enumeration
from restorium.flows import mounts as flows
from restorium.vocabulary.errors import NotFound

_POINT = "VmRestorePoint"
_TYPE = "VmRestorePointMount"
_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_PAGE_SIZE = 100


class _OsKind(StrEnum):
    WINDOWS = "Windows"
    LINUX = "Linux"


MOUNT_BODY = Spec("", (Field("OsKind", enumeration(_OsKind)),))
"""Of any name in XML, since no document tells it. What is on the disks decides, not what the caller says."""

_ROOTS = Listed("FSRoots", (files.DIRECTORY,), type="DirectoryEntryListType")
MOUNT = Shape(_TYPE, addressed(_TYPE), (Child("FSRoots", _ROOTS),), links=True)
MOUNTS = Listed(f"{_TYPE}s", (MOUNT,), type=f"{_TYPE}ListType")


def create(call: Call, point: Row) -> Answer:
    """POST …/mounts."""
    _ = call.body  # nothing in it changes what is done, but it has to be one

    def start() -> Started:
        made = flows.mount(call.engine, call.logon, point, call.caller)
        name, path = f"{point.id}@{made.number}", _path(point, made.number)
        return Started(_TYPE, None, name, "Restore point has been mounted", path=path)

    return tasks.run(call, "MountRestorePoint", start)


def list_all(call: Call, view: View, point: Row) -> Answer:
    """GET …/mounts."""
    found = rows.of_point(view.connection, call.logon, point.id)
    listed = [_document(_tree(call, point, row)) for row in found]
    return Answer(200, MOUNTS.made(listed))


def one(call: Call) -> Answer:
    """GET …/mounts/{ID}."""
    return Answer(200, _document(find(call)))


def delete(call: Call) -> Answer:
    """DELETE …/mounts/{ID}."""
    flows.unmount(call.engine, find(call).row)
    return Answer(204)


def find(call: Call) -> Opened:
    """The mount that the path names. Raises NotFound, also for those of other logon sessions and unseen VMs."""
    with call.engine.database.read() as connection:
        point = row_of(call, entity(_POINT), connection)
        if not _NUMBER.fullmatch(call.ids[1]):
            raise NotFound(f"there is no mount {call.ids[1]}", hint="Mounts have numbers.")
        row = rows.get(connection, call.logon, point.id, int(call.ids[1]))
    return _tree(call, point, row)


def _tree(call: Call, point: Row, row: Row) -> Opened:
    href = f"{call.base}{_path(point, row.number)}"
    above = Link("Up", href, f"{point.id}@{row.number}", _TYPE)
    return Opened(row, Tree(flows.opened(call.engine, row), href, above, _PAGE_SIZE))


def _document(mounted: Opened) -> Resource:
    href = mounted.tree.href
    volumes = _ROOTS.made(files.roots(mounted.tree))
    return MOUNT.made([Link("Delete", href, None, _TYPE)], Href=href, FSRoots=volumes)


def _path(point: Row, number: int) -> str:
    return f"/{entity(_POINT).path}/{point.id}/mounts/{number}"
