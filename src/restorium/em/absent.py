"""Kinds of entities that this server never has one of: declared as all others are, and honestly empty.

Their lists have no members, their ids lead nowhere (404), what would make one is not offered (501), and the query
service knows their fields. A kind becomes an entity with rows once the server has such things.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from restorium.catalog import nothing
from restorium.catalog.listing import Row
from restorium.em.call import Answer, Call
from restorium.em.documents import Resource
from restorium.em.entity import Entity
from restorium.em.members import Alternate, Do, Down, Queryable
from restorium.em.parts import part
from restorium.em.routing import Route, Serves
from restorium.em.values import codec_of, uid
from restorium.vocabulary.errors import Unsupported
from restorium.vocabulary.roles import Role

Fields = Mapping[str, type | tuple[str, ...]]
"""Fields of the query service: the Python type of their values, or the documented values of an enumeration in order."""

SERVER: Fields = {"BackupServerUid": UUID, "BackupServerName": str}
SCHEDULE: Fields = {"ScheduleConfigured": bool, "ScheduleEnabled": bool}
SPAN: Fields = {"CreationTime": datetime, "EndTime": datetime}
STATES = ("Starting", "Stopping", "Working", "Pausing", "Resuming", "Stopped")
TASK_STATES = ("InProgress", "Pending", "Completed")
RESULTS = ("Success", "Warning", "Failed")
ALGORITHMS = ("Full", "ReversedIncremental", "Incremental", "SyntheticFull")
REPLICA_POINTS = ("Full", "ReverseIncrement", "Increment", "Snapshot")


def absent(
    name: str,
    path: str,
    *,
    plural: str,
    roles: frozenset[Role],
    fields: Fields | None = None,
    queriers: frozenset[Role] | None = None,
    slot: str | None = None,
    make: frozenset[Role] | None = None,
    below: Mapping[frozenset[Role], Sequence[str]] | None = None,
) -> Sequence[Route]:
    """Declare a kind, and give the routes besides those that follow from its declaration.

    roles: who may list it. fields: besides UID and Name; None if the query service does not know the kind.
    queriers: who may query it, if not those who may list it. make: who may make one, if anybody may.
    below: what there is below one, by who may ask: a method and a path, such as ``GET includes`` or
    ``POST ?action=start``.
    """
    typed, queried = _queried(fields or {})
    body = {
        "__doc__": "There is none of these.",
        "__module__": __name__,
        "absent": True,
        "roles": roles,
        "queriers": queriers,
        "rows": nothing.listing(typed),
        "links": (Alternate(), *_parts(below or {})),
        "fields": queried,
    }
    options = {"plural": plural, "path": path, "slot": slot, "queried": fields is not None}
    types.new_class(name, (Entity,), options, lambda namespace: namespace.update(body))
    return () if make is None else (Route("POST", f"/{path}", make, refuse, serves=Serves.REFUSAL),)


def absent_part(name: str, plural: str, *, roles: frozenset[Role], fields: Fields) -> None:
    """Declare a kind of parts, which have no list of their own and only the query service brings together."""
    typed, queried = _queried(fields)
    part(name, plural, roles=roles, fields=queried, rows=nothing.listing(typed), shown=_unseen)


def refuse(call: Call, *, hint: str | None = None) -> Answer:
    """What is made by a request, and never here. Raises Unsupported."""
    raise Unsupported(f"{call.request.method} {call.request.path} is not offered by this server", hint=hint)


def _unseen(_row: Row, _base: str) -> Resource:
    raise AssertionError("there is none to be shown")


def _queried(fields: Fields) -> tuple[dict[str, type], tuple[Queryable, ...]]:
    """The columns of these fields by name, and the fields over them."""
    typed = {field: _typed(field, kind) for field, kind in fields.items()}
    return {field.lower(): kind for field, kind in typed.items()}, tuple(
        Queryable(field, field.lower(), uid(None) if kind is UUID else codec_of(kind))
        for field, kind in typed.items()
    )


def _typed(name: str, kind: type | tuple[str, ...]) -> type:
    if not isinstance(kind, tuple):
        return kind
    enumeration: Any = StrEnum
    members: type = enumeration(name, [(value, value) for value in kind])
    return members


def _parts(below: Mapping[frozenset[Role], Sequence[str]]) -> Iterator[Down | Do]:
    for roles, requests in below.items():
        for request in requests:
            method, _, place = request.partition(" ")
            path, _, action = place.partition("?action=")
            if method == "GET":
                yield Down(path, None, roles=roles)
            else:
                yield Do("Down", method, action or None, f"/{path}" if path else "", roles=roles)
