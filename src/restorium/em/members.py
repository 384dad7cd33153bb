"""The words of a declaration: what an entity's members and links are, and where their values come from.

Links are declared in the order in which the interface shows them, and name other resources by their type, so that
no resource imports another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from enum import Enum
from typing import TYPE_CHECKING, Any

from restorium.em.documents import Member
from restorium.em.shapes import Child, Gives, Shape
from restorium.em.values import TEXT, Codec

if TYPE_CHECKING:
    from restorium.catalog.listing import Row
    from restorium.em.bodies import Spec
    from restorium.em.call import Answer, Call, View
    from restorium.vocabulary.roles import Role


class Form(Enum):
    """The two documents of an entity."""

    ENTITY = "Entity"
    REFERENCE = "Reference"


@dataclass(frozen=True, slots=True)
class Queryable:
    """A field of the query service: its name there, the listing's column, and how its values are read."""

    name: str
    column: str
    codec: Codec


@dataclass(frozen=True, slots=True)
class Element:
    """A child element. The type annotation of the declaration gives the codec, its name the column.

    query: the element's name in queries; None where it is no field. value: what computes it, if it is no column.
    shape: of what it computes, if that has children of its own. required: whether it is always there.
    """

    name: str
    query: str | None = None
    codec: Codec | None = None
    value: Callable[[Row, View], Member] | None = None
    shape: Shape | None = None
    column: str = ""
    required: bool = True

    def bound(self, column: str, codec: Codec | None, *, required: bool) -> Element:
        """The element of the column of that name."""
        return replace(self, column=column, codec=self.codec or codec, required=required)

    @property
    def child(self) -> Child:
        """What it is in its entity's document."""
        return Child(self.name, self.shape or self.codec or TEXT, self.required)

    def shown(self, row: Row, view: View) -> Member:
        """The element's value in a document; None where it is absent."""
        if self.value is not None:
            return self.value(row, view)
        stored = getattr(row, self.column)
        return None if stored is None or self.codec is None else self.codec.show(stored)


def element(
    name: str,
    *,
    query: str | None = None,
    codec: Codec | None = None,
    value: Callable[[Row, View], Member] | None = None,
    shape: Shape | None = None,
) -> Any:
    """Declare a child element of that name."""
    return Element(name, query, codec, value, shape)


def field(name: str, column: str, codec: Codec) -> Queryable:
    """Declare a field of the query service that is no element."""
    return Queryable(name, column, codec)


@dataclass(frozen=True, slots=True)
class Alternate:
    """The entity's other form."""

    form: Form | None = None


@dataclass(frozen=True, slots=True)
class To:
    """A link to one other entity, whose id and name are the columns ``<by>_id`` and ``<by>_name``.

    form: which document of it. only: the form in which the link is shown, both if None. query: names of the two
    columns as fields of the query service. There is no link where the row has no such id.
    """

    rel: str
    target: str
    by: str
    form: Form = Form.REFERENCE
    only: Form | None = None
    query: tuple[str, str] | None = None
    id_column: str = field_of(init=False)
    name_column: str = field_of(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id_column", f"{self.by}_id")
        object.__setattr__(self, "name_column", f"{self.by}_name")


def up(
    target: str,
    by: str,
    *,
    form: Form = Form.REFERENCE,
    only: Form | None = None,
    query: tuple[str, str] | None = None,
) -> To:
    """A link to what the entity belongs to."""
    return To("Up", target, by, form, only, query)


def related(target: str, by: str, *, form: Form = Form.REFERENCE, only: Form | None = None) -> To:
    """A link to what the entity has to do with."""
    return To("Related", target, by, form, only)


BACKUP_SERVER = up("BackupServer", "backup_server", query=("BackupServerUid", "BackupServerName"))


@dataclass(frozen=True, slots=True)
class Down:
    """A list below the entity, at ``<entity>/<path>``: the rows of ``target`` whose ``column`` is this row's ``own``.

    target None: a list of no entities, which ``serve`` answers, or one that this server never has anything for, of
    the plural ``empty``. type: of the link, if not ``<target>ReferenceList``. roles: who may read it, if not those
    who may read both ends. gives: what ``serve`` answers.
    """

    path: str
    target: str | None
    column: str = "id"
    own: str = "id"
    empty: str = ""
    rel: str = "Down"
    type: str | None = None
    only: Form | None = None
    roles: frozenset[Role] | None = None
    serve: Callable[[Call, View, Row], Answer] | None = None
    gives: tuple[Gives, ...] = ()


Action = Callable[["Call", Any], "Answer"]
"""Carries an action out on the entity of that row."""


@dataclass(frozen=True, slots=True)
class Do:
    """A link to something that can be done: a method on ``<entity><path>``, with ``?action=`` if there is one.

    run: what does it; None where this server does not offer it and says so, with the ``hint``. gives: what it answers
    besides errors. body: that of its requests, ``call.body`` to what does it. named: whether the link has the entity's
    name.
    """

    rel: str
    method: str
    action: str | None = None
    path: str = ""
    type: str | None = None
    named: bool = False
    roles: frozenset[Role] = frozenset()
    run: Action | None = None
    gives: tuple[Gives, ...] = ()
    body: Spec | None = None
    hint: str | None = None


LinkDeclaration = Alternate | To | Down | Do
