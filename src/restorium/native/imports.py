"""Importing image files of the server's machine as restore points."""

from __future__ import annotations

from uuid import UUID

import msgspec

from restorium.flows import importing
from restorium.native.jobs import JobSession, session_of
from restorium.native.operation import Call, Operation
from restorium.native.roles import ADMINISTRATORS


class NewImport(msgspec.Struct, forbid_unknown_fields=True):
    """``files``: absolute paths on the server, one a disk. ``host_id``: where the VM is to be restored to."""

    vm_name: str
    host_id: UUID
    repository_id: UUID
    files: list[str]


def _start(call: Call) -> JobSession:
    asked: NewImport = call.body
    session_id = importing.start(
        call.engine, asked.repository_id, asked.host_id, asked.vm_name, asked.files, call.caller
    )
    return session_of(call, session_id)


OPERATIONS = (Operation("POST", "/imports", _start, ADMINISTRATORS, body=NewImport, status=202),)
