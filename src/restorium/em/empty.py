"""Lists and parts that are always empty, of entities that there may be, and documents of whole groups."""

from __future__ import annotations

from collections.abc import Sequence

from restorium.catalog.listing import AnyOf
from restorium.em.call import Answer, Call
from restorium.em.documents import Link
from restorium.em.entity import Entity, entity
from restorium.em.reading import listed, row_of
from restorium.em.routing import Route, Serves
from restorium.em.shapes import Gives, Shape, addressed
from restorium.vocabulary.roles import Role

_NONE = AnyOf(())
"""The filter that nothing passes."""


def empty(path: str, target: str, roles: frozenset[Role]) -> Route:
    """A list of a kind of entities that are never of this sort, such as backups of agents."""
    return Route(
        "GET",
        f"/{path}",
        roles,
        lambda call: listed(entity(target), call, _NONE),
        lists=target,
        serves=Serves.NOTHING,
    )


def empty_below(parent: type[Entity], path: str, target: str, roles: frozenset[Role]) -> Route:
    """Such a list below each entity of a kind, which has no link to it."""

    def serve(call: Call) -> Answer:
        _check(call, parent)
        return listed(entity(target), call, _NONE)

    return Route("GET", f"/{parent.path}/{{ID}}/{path}", roles, serve, lists=target, serves=Serves.NOTHING)


def service(
    path: str, name: str, kind: str, roles: frozenset[Role], lists: Sequence[tuple[str, str]]
) -> Route:
    """The document ``name`` of a group, with links to its lists, each a path and the type of its members."""

    shape = Shape(name, addressed(kind), links=True)

    def serve(call: Call) -> Answer:
        links = [Link("Up", f"{call.base}/logonSessions/{call.token}", None, "LogonSession")]
        links += [Link("Down", f"{call.base}/{at}", None, f"{of}ReferenceList") for at, of in lists]
        links += [Link("Down", f"{call.base}/{at}?format=Entity", None, f"{of}List") for at, of in lists]
        return Answer(200, shape.made(links, Href=f"{call.base}/{path}"))

    return Route("GET", f"/{path}", roles, serve, gives=(Gives(200, shape),))


def _check(call: Call, parent: type[Entity]) -> None:
    with call.engine.database.read() as connection:
        row_of(call, parent, connection)
