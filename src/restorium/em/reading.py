"""Reading entities: one, a list, the lists below one. Every read is one snapshot, within the caller's scope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.engine import Connection

from restorium.catalog.listing import AllOf, Compare, Filter, Order, Row
from restorium.em import query
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Collection, Resource
from restorium.em.entity import Entity, entities, entity
from restorium.em.members import Do, Down, Form
from restorium.em.paging import PARAMETERS, order_of, page_of, paging_info
from restorium.em.parts import parts
from restorium.em.routing import Handler, Parameter, Route, Serves
from restorium.em.shapes import REFERENCE, REFERENCES, Gives, Listed
from restorium.em.values import one_of
from restorium.vocabulary.errors import NotFound, Unsupported
from restorium.vocabulary.roles import Role

ENTITY_REFERENCE = REFERENCE.called("EntityRef")
FORMAT = Parameter(
    "format",
    "``Entity`` or ``Entities`` for all of it; references without it.",
    one_of("Entity", "Entities", "Reference", "References"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a list shows. ``items`` is read once; ``paging`` is None unless a page was asked for."""

    items: Iterator[Resource]
    paging: Resource | None


def routes() -> Iterator[Route]:
    """The routes that follow from the declarations."""
    for kind in entities():
        path = f"/{kind.path}"
        serves = Serves.NOTHING if kind.absent else Serves.CONTENT
        if kind.within is None:
            yield Route("GET", path, kind.roles, partial(listed, kind), lists=kind.type, serves=serves)
        yield Route(
            "GET",
            f"{path}/{{ID}}",
            kind.roles,
            partial(_one, kind),
            brief=True,
            gives=(Gives(200, ENTITY_REFERENCE), Gives(200, kind.shape)),
            parameters=(FORMAT,),
            serves=serves,
        )
        for down in kind.lists():
            roles = down.roles if down.roles is not None else _both(kind, down)
            below = _list_below(kind, down, f"{path}/{{ID}}/{down.path}", roles)
            yield replace(below, serves=Serves.NOTHING if kind.absent or _is_empty(down) else Serves.CONTENT)
        for do in kind.operations():
            refused = Serves.NOTHING if kind.absent else Serves.REFUSAL
            yield Route(
                do.method,
                f"{path}/{{ID}}{do.path}",
                do.roles,
                partial(_act, kind, do),
                do.action,
                gives=do.gives,
                body=do.body,
                serves=refused if do.run is None else Serves.CONTENT,
            )


def described(route: Route) -> Route:
    """The route with what it gives, and its parameters, where those follow from the entities that it lists."""
    if route.lists is None:
        return route
    kind = entity(route.lists)
    return replace(
        route,
        gives=(Gives(200, REFERENCES), Gives(200, kind.list_shape)),
        parameters=(FORMAT, *_list_parameters(kind), *PARAMETERS),
    )


def _list_parameters(kind: type[Entity]) -> tuple[Parameter, ...]:
    names = ", ".join(each.name for each in kind.queryable.values())
    about = f"Fields of {kind.type}: {names}."
    return (
        Parameter("filter", f'Conditions such as Name=="db-1", joined by ; (and) or , (or). {about}'),
        Parameter("sortAsc", f"Fields to sort by, with commas between. {about}"),
        Parameter("sortDesc", f"Fields to sort by, the largest first. {about}"),
    )


def find(call: Call, kind: type[Entity], restriction: Filter | None = None) -> Found:
    """The rows that the request's filter, order and page ask for, as entities or references.

    Raises InvalidFilter, InvalidInput.
    """
    form = call.form
    text = call.request.parameter("filter")
    asked = None if text is None else query.parse(text, kind.queryable, kind.type)
    where = AllOf((restriction, asked)) if restriction and asked else restriction or asked
    order = order_of(call.request, kind.queryable, kind.type)
    page = page_of(call.request)
    if page is None:
        return Found(_stream(call, kind, where, order, form), None)
    with call.engine.database.read() as connection:
        total = kind.rows.count(connection, where=where, visible=call.visible)
        rows = kind.rows.page(
            connection, where=where, order=order, limit=page.size, offset=page.offset, visible=call.visible
        )
        items = [_shown(kind, row, View(call.base, connection), form) for row in rows]
    return Found(iter(items), paging_info(call.request, page, total))


def row_of(call: Call, kind: type[Entity], connection: Connection) -> Row:
    """The row that the path names. Raises NotFound, also for what the caller may not see."""
    above, given = call.ids[0], call.ids[0 if kind.within is None else 1]
    key = kind.key(given)
    row = kind.rows.one(connection, key, call.visible)
    if row is None or (kind.within is not None and str(getattr(row, kind.within)) != above):
        raise NotFound(f"there is no {kind.type} {key}")
    return row


def _stream(
    call: Call, kind: type[Entity], where: Filter | None, order: Order, form: Form
) -> Iterator[Resource]:
    with call.engine.database.read() as connection:
        view = View(call.base, connection)
        for row in kind.rows.stream(connection, where=where, order=order, visible=call.visible):
            yield _shown(kind, row, view, form)


def _shown(kind: type[Entity], row: Row, view: View, form: Form) -> Resource:
    return kind.shown(row, view) if form is Form.ENTITY else kind.reference(row, view)


def listed(kind: type[Entity], call: Call, restriction: Filter | None = None) -> Answer:
    """The list document of entities, of those that ``restriction`` leaves. Raises as ``find`` does."""
    found = find(call, kind, restriction)
    if call.form is Form.ENTITY:
        return Answer(200, kind.list_shape.made(found.items, found.paging))
    return Answer(200, REFERENCES.made(found.items, found.paging))


def _one(kind: type[Entity], call: Call) -> Answer:
    form = call.form
    with call.reading() as connection:
        row = row_of(call, kind, connection)
        view = View(call.base, connection)
        if form is Form.ENTITY:
            return Answer(200, kind.shown(row, view))
        return Answer(200, kind.reference(row, view, name="EntityRef"))


def _list_below(kind: type[Entity], down: Down, path: str, roles: frozenset[Role]) -> Route:
    if down.serve is None and down.target is not None:
        return Route("GET", path, roles, _below(kind, down), lists=down.target)
    if down.serve is not None:
        return Route("GET", path, roles, _below(kind, down), gives=down.gives)
    gives = [Gives(200, _empty(down))] if down.empty else []
    if (down.type or "").endswith("ReferenceList"):
        gives.insert(0, Gives(200, REFERENCES))
    return Route("GET", path, roles, _below(kind, down), gives=tuple(gives), parameters=(FORMAT,))


def _is_empty(down: Down) -> bool:
    return down.serve is None and (down.target is None or entity(down.target).absent)


def _empty(down: Down) -> Listed:
    """The list of what there is none of, as it is declared where it can be queried."""
    declared = [each.list_shape for each in entities()] + [each.list_shape for each in parts()]
    return next((each for each in declared if each.name == down.empty), Listed(down.empty, ()))


def _below(kind: type[Entity], down: Down) -> Handler:
    def serve(call: Call) -> Answer:
        with call.engine.database.read() as connection:
            row = row_of(call, kind, connection)
            if down.serve is not None:
                return down.serve(call, View(call.base, connection), row)
        if down.target is None:
            return Answer(200, _nothing(call, down))
        restriction = Compare(down.column, "==", getattr(row, down.own))
        return listed(entity(down.target), call, restriction)

    return serve


def _nothing(call: Call, down: Down) -> Collection:
    if call.form is Form.ENTITY or not (down.type or "").endswith("ReferenceList"):
        return _empty(down).made(())
    return REFERENCES.made(())


def _act(kind: type[Entity], do: Do, call: Call) -> Answer:
    with call.engine.database.read() as connection:
        row = row_of(call, kind, connection)
    if do.run is None:
        asked = f"{do.method} {call.request.path}" + (f"?action={do.action}" if do.action else "")
        raise Unsupported(f"{asked} is not offered by this server", hint=do.hint)
    return do.run(call, row)


def _both(kind: type[Entity], down: Down) -> frozenset[Role]:
    return kind.roles if down.target is None else kind.roles & entity(down.target).roles
