"""Mounts of VM restore points: what their requests do. They belong to the logon session that made them."""

from __future__ import annotations

import re
from typing import NamedTuple

from restorium.catalog import mounts as rows
from restorium.catalog.listing import Row
from restorium.em import files, tasks
from restorium.em.bodies import Field, Spec, Values, boolean, read, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Collection, Link, Resource
from restorium.em.entity import entity
from restorium.em.files import Tree
from restorium.em.reading import row_of
from restorium.em.tasks import Started
from restorium.flows import mounts as flows
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported

_POINT = "VmRestorePoint"
_TYPE = "VmRestorePointMount"
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_PAGE_SIZE = 100


def _os_kind(value: str) -> str:
    if value.strip().lower() not in ("windows", "linux"):
        raise ValueError("Windows or Linux")
    return value


MOUNT_BODY = Spec("", (Field("OsKind", _os_kind),))
"""Of any name in XML, since no document tells it. What is on the disks decides, not what the caller says."""

CREDENTIALS = Spec("GuestCredentials", (Field("UserName", text), Field("Password", text)))
RESTORE_BODY = Spec(
    "FileRestoreSpec",
    (
        Field(
            "ToOriginalLocation",
            Spec(
                "ToOriginalLocation",
                (Field("GuestCredentials", CREDENTIALS),),
                attributes=(Field("Overwrite", boolean), Field("PermissionsOnly", boolean)),
            ),
        ),
        Field("ForDirectDownload", Spec("ForDirectDownload")),
    ),
    one_of=True,
)


class Mounted(NamedTuple):
    """A mount of the caller's: its row, its path below ``/api``, and its files."""

    row: Row
    path: str
    tree: Tree


def create(call: Call, point: Row) -> Answer:
    """POST …/mounts."""
    read(call.request, MOUNT_BODY)

    def start() -> Started:
        made = flows.mount(call.engine, call.logon, point, call.caller)
        name, path = f"{point.id}@{made.number}", _path(point, made.number)
        return Started(_TYPE, None, name, "Restore point has been mounted", path=path)

    return tasks.run(call, "MountRestorePoint", start)


def list_all(call: Call, view: View, point: Row) -> Answer:
    """GET …/mounts."""
    found = rows.of_point(view.connection, call.logon, point.id)
    listed = [_document(_tree(call, point, row)) for row in found]
    return Answer(200, Collection(f"{_TYPE}s", f"{_TYPE}s", listed))


def one(call: Call) -> Answer:
    """GET …/mounts/{ID}."""
    return Answer(200, _document(_mounted(call)))


def delete(call: Call) -> Answer:
    """DELETE …/mounts/{ID}."""
    flows.unmount(call.engine, _mounted(call).row)
    return Answer(204)


def entry(call: Call) -> Answer:
    """GET …/mounts/{ID}/{filepath}."""
    return Answer(200, files.shown(_mounted(call).tree, files.split(call.ids[-1])))


def list_both(call: Call) -> Answer:
    """GET …?action=listAll."""
    return Answer(200, files.listed(call, _mounted(call).tree, files.split(call.ids[-1])))


def list_files(call: Call) -> Answer:
    """GET …?action=listFiles."""
    tree = _mounted(call).tree
    return Answer(200, files.listed(call, tree, files.split(call.ids[-1]), folders=False))


def list_folders(call: Call) -> Answer:
    """GET …?action=listDirs."""
    tree = _mounted(call).tree
    return Answer(200, files.listed(call, tree, files.split(call.ids[-1]), files=False))


def download(call: Call) -> Answer:
    """GET …?action=download."""
    mounted, path = _mounted(call), files.split(call.ids[-1])
    answer = files.download(mounted.tree, path)
    if call.request.method == "GET":
        told = f"{call.logon.account.name} downloads {'/'.join(path)}"
        flows.tell(call.engine, mounted.row.session_id, told)
    return answer


def restore(call: Call) -> Answer:
    """POST …?action=restore: a task with the address to download from."""
    mounted, path = _mounted(call), files.split(call.ids[-1])
    check(read(call.request, RESTORE_BODY))

    def start() -> Started:
        files.check(mounted.tree, path)
        href = f"{mounted.tree.at(path).removeprefix(call.base)}?action=download"
        return Started(None, None, None, "File is ready for download", rel="Download", path=href)

    return tasks.run(call, "FileRestoreFromMountPoint", start)


def check(body: Values | None) -> None:
    """Raises InvalidInput for no body, Unsupported for what files cannot be restored to."""
    if body is None:
        raise InvalidInput("the body is empty", hint="Send a FileRestoreSpec with ForDirectDownload.")
    if "ToOriginalLocation" in body:
        raise Unsupported(
            "files are not written into the VM that they were backed up from: its host only keeps images",
            hint="Ask for ForDirectDownload, and copy what is downloaded to where it belongs.",
        )


def _mounted(call: Call) -> Mounted:
    """The mount that the path names. Raises NotFound, also for those of other logon sessions and unseen VMs."""
    with call.engine.database.read() as connection:
        point = row_of(call, entity(_POINT), connection)
        if not _NUMBER.fullmatch(call.ids[1]):
            raise NotFound(f"there is no mount {call.ids[1]}", hint="Mounts have numbers.")
        row = rows.get(connection, call.logon, point.id, int(call.ids[1]))
    return _tree(call, point, row)


def _tree(call: Call, point: Row, row: Row) -> Mounted:
    path = _path(point, row.number)
    href = f"{call.base}{path}"
    above = Link("Up", href, f"{point.id}@{row.number}", _TYPE)
    return Mounted(row, path, Tree(flows.opened(call.engine, row), href, above, _PAGE_SIZE))


def _document(mounted: Mounted) -> Resource:
    href = mounted.tree.href
    volumes = Collection("FSRoots", "FSRoots", files.roots(mounted.tree))
    return Resource(
        _TYPE, [("Href", href), ("Type", _TYPE)], [("FSRoots", volumes)], [Link("Delete", href, None, _TYPE)]
    )


def _path(point: Row, number: int) -> str:
    return f"/{entity(_POINT).path}/{point.id}/mounts/{number}"
