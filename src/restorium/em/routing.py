"""Which handler a path and a method lead to. Paths match in any case, with or without a slash at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from restorium.em.call import Answer, Call, Request
from restorium.vocabulary.roles import Role

Handler = Callable[[Call], Answer]
OpenHandler = Callable[[Request], Answer]
"""Of what anybody may ask, logged on or not."""

_REST = "{filepath}"


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` is below ``/api``, with ``{ID}`` where an id stands. roles: of which the caller needs one.

    A path that ends in ``{filepath}`` is that of everything below, whose path is its last id.

    brief: the handler reads a row or two and writes nothing.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: Handler
    action: str | None = None
    brief: bool = False


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    routes: dict[str, dict[str | None, Route]] = field(default_factory=dict)
    open: dict[str, OpenHandler] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at a path: routes by method and action, what is open to anybody by method, the path's ids."""

    routes: dict[str, dict[str | None, Route]]
    open: dict[str, OpenHandler]
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

    def add(self, routes: Iterable[Route]) -> None:
        """Make routes known."""
        for route in routes:
            action = route.action.lower() if route.action else None
            self._node(route.path).routes.setdefault(route.method, {})[action] = route

    def open(self, method: str, path: str, handler: OpenHandler) -> None:
        """Make known what anybody may ask."""
        self._node(path).open[method] = handler

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
