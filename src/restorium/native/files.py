"""Files in restore points: opening one to look into it, folders, downloads.

What is opened is the logon session's own, and a restore session of files as long as it is open.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from uuid import UUID

import msgspec
from starlette.responses import Response, StreamingResponse

from restorium.catalog import mounts, points
from restorium.catalog.listing import Row
from restorium.flows import mounts as flows
from restorium.guest import Entry, Guest, download
from restorium.native.exchange import whole
from restorium.native.operation import Call, Operation
from restorium.native.roles import FILE_RESTORERS
from restorium.vocabulary.errors import InvalidInput, NotFound

_MOST_ENTRIES = 1_000_000


class Opened(msgspec.Struct):
    """``session_id`` is the restore session; paths begin with the name of one of ``volumes``."""

    session_id: UUID
    volumes: list[str]


class FileEntry(msgspec.Struct):
    """``kind`` is folder, file, link (to ``target``, which nothing follows) or other; ``size`` is in bytes."""

    name: str
    path: str
    kind: str
    size: int
    modified: datetime | None
    owner: str
    target: str | None


class Folder(msgspec.Struct):
    """``total`` is how many entries there are; ``items`` begin at the ``offset`` that was asked for."""

    path: str
    total: int
    items: list[FileEntry]


def _open(call: Call) -> Opened:
    """Look into a restore point, until it is closed or the token ends. Again gives what is open."""
    point = _point(call)
    mounted = flows.browse(call.engine, call.logon.session, point, call.caller)
    return Opened(mounted.session_id, list(flows.opened(call.engine, mounted).volumes))


def _list(call: Call) -> Folder:
    """A folder, or the volumes where ``path`` is empty: folders first, then by name."""
    _, guest = _opened(call)
    path = _path(call)
    text = call.request.query_params.get("offset", "0")
    offset = whole(text, 0, _MOST_ENTRIES)
    if offset is None:
        raise InvalidInput(f"offset={text} is not a number from 0 to {_MOST_ENTRIES}")
    if path:
        entries, total = guest.page(path, offset=offset, limit=call.limit)
    else:
        names = guest.volumes
        entries, total = (
            [guest.entry((name,)) for name in names[offset : offset + call.limit]],
            len(names),
        )
    return Folder("/".join(path), total, [_shown(entry) for entry in entries])


def _download(call: Call) -> Response:
    """A file, or a folder as a tar archive."""
    mounted, guest = _opened(call)
    path = _path(call)
    if not path:
        raise InvalidInput("no path is named", hint="Add ?path= with a volume or what is below it.")
    found = download(guest, path)
    first = next(found.content, b"")  # what cannot be read is told with the status
    told = f"{call.logon.account.name} downloads {'/'.join(path)}"
    flows.tell(call.engine, mounted.session_id, told)
    return StreamingResponse(chain((first,), found.content), headers=found.headers)


def _close(call: Call) -> None:
    """What is open no more is no error."""
    with call.engine.database.read() as connection:
        mounted = mounts.find(connection, call.logon.session, call.id, mounts.BROWSE)
    if mounted is not None:
        flows.unmount(call.engine, mounted)


def _point(call: Call) -> Row:
    with call.engine.database.read() as connection:
        point = points.vm_listing.one(connection, call.id, call.visible)
    if point is None:
        raise NotFound(f"there is no restore point {call.id}")
    return point


def _opened(call: Call) -> tuple[Row, Guest]:
    point = _point(call)
    with call.engine.database.read() as connection:
        mounted = mounts.find(connection, call.logon.session, point.id, mounts.BROWSE)
    if mounted is None:
        raise NotFound(
            f"restore point {point.id} is not open", hint=f"POST /v1/restore-points/{point.id}/files first."
        )
    return mounted, flows.opened(call.engine, mounted)


def _path(call: Call) -> tuple[str, ...]:
    return tuple(part for part in call.request.query_params.get("path", "").split("/") if part)


def _shown(entry: Entry) -> FileEntry:
    facts, path = entry.facts, "/".join(entry.path)
    return FileEntry(
        entry.name, path, entry.kind.value, facts.size, facts.modified, facts.owner, entry.target
    )


_FILES = "/restore-points/{id}/files"

OPERATIONS = (
    Operation("POST", _FILES, _open, FILE_RESTORERS, status=201),
    Operation("GET", _FILES, _list, FILE_RESTORERS, query=("path", "offset", "limit")),
    Operation("GET", f"{_FILES}/content", _download, FILE_RESTORERS, query=("path",), download=True),
    Operation("DELETE", _FILES, _close, FILE_RESTORERS, status=204),
)
