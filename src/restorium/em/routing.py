"""Which handler a path and a method lead to. Paths match in any case, with or without a slash at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from restorium.em.bodies import Spec
from restorium.em.call import Answer, Call, Request
from restorium.em.shapes import Gives
from restorium.em.values import TEXT, Codec
from restorium.vocabulary.roles import Role

Handler = Callable[[Call], Answer]
OpenHandler = Callable[[Request], Answer]

_REST = "{filepath}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query. codec: what its values look like; what is none of them is refused."""

    name: str
    about: str
    codec: Codec = TEXT
    required: bool = False


class Serves(Enum):
    """What a route leads to: something that there may be, what there is never anything of, or a refusal (501)."""

    CONTENT = "content"
    NOTHING = "nothing"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` is below ``/api``, with ``{ID}`` where an id stands. roles: of which the caller needs one.

    A path that ends in ``{filepath}`` is that of everything below, whose path is its last id.

    gives: what it may answer besides errors. body: of the request, where it has one. parameters: of the query.
    lists: the type of the entities whose lists it answers; what it gives and its parameters follow from that.
    brief: the handler reads a row or two and writes nothing.
    download: what it gives is content of a VM. secret_ids: the ids in the path are not to be written down.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: Handler
    action: str | None = None
    brief: bool = False
    gives: tuple[Gives, ...] = ()
    body: Spec | None = None
    parameters: tuple[Parameter, ...] = ()
    lists: str | None = None
    serves: Serves = Serves.CONTENT
    download: bool = False
    secret_ids: bool = False


@dataclass(frozen=True, slots=True)
class OpenRoute:
    """What anybody may ask, logged on or not."""

    method: str
    path: str
    handler: OpenHandler
    gives: tuple[Gives, ...]
    parameters: tuple[Parameter, ...] = ()


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    routes: dict[str, dict[str | None, Route]] = field(default_factory=dict)
    open: dict[str, OpenRoute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at a path: routes by method and action, what is open to anybody by method, the path's ids."""

    routes: dict[str, dict[str | None, Route]]
    open: dict[str, OpenRoute]
    ids: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The methods, for the Allow header."""
        methods = {*self.routes, *self.open}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


class Router:
    """All routes. A place's routes differ by method or action."""

    def __init__(self) -> None:
        self._root = _Node()
        self.routes: list[Route | OpenRoute] = []

    def add(self, routes: Iterable[Route]) -> None:
        """Make routes known."""
        for route in routes:
            self.routes.append(route)
            action = route.action.lower() if route.action else None
            self._node(route.path).routes.setdefault(route.method, {})[action] = route

    def open(self, *routes: OpenRoute) -> None:
        """Make known what anybody may ask."""
        for route in routes:
            self.routes.append(route)
            self._node(route.path).open[route.method] = route

    def find(self, segments: Iterable[str]) -> Place | None:
        """The place of a path; None if there is none."""
        node = self._root
        ids: list[str] = []
        below = tuple(segments)
        for place, segment in enumerate(below):
            child = node.children.get(segment.lower())
            if child is None:
                child = node.children.get("{}")
                if child is None:
                    rest = node.children.get(_REST)
                    if rest is None:
                        return None
                    return Place(rest.routes, rest.open, (*ids, "/".join(below[place:])))
                ids.append(segment)
            node = child
        return Place(node.routes, node.open, tuple(ids)) if node.routes or node.open else None

    def _node(self, path: str) -> _Node:
        node = self._root
        for segment in path.strip("/").split("/"):
            name = segment if segment == _REST else "{}" if segment.startswith("{") else segment.lower()
            node = node.children.setdefault(name, _Node()) if segment else node
        return node
