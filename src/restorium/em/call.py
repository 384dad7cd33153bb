"""A request as the resources see it, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog.listing import Visibility
from restorium.catalog.logons import Logon
from restorium.em.bodies import Spec, Values, read
from restorium.em.documents import Document
from restorium.em.members import Form
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.restore import Caller


class View(NamedTuple):
    """What a document is made with: the address that its links begin with, and the snapshot it is read from."""

    base: str
    connection: Connection


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and a document or, as it is, content, unless there is nothing to say.

    Content comes with its type and, where that is known, its length among the headers.
    made, failure: what an action made, and the code of what went wrong with it, where the answer is a task and its
    status says nothing of that.
    """

    status: int
    document: Document | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Iterator[bytes] | None = None
    made: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Request:
    """What came in. ``base`` is the address of ``/api`` as the client wrote it; ``segments`` are the path below it.

    parameters: of the query, by lower-case name, the last where one is given twice.
    """

    method: str
    base: str
    segments: tuple[str, ...]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def path(self) -> str:
        """The path below ``/api``, for messages."""
        return "/" + "/".join(self.segments)

    def parameter(self, name: str) -> str | None:
        """A parameter of the query, whose name clients write in any case; None where it is absent or empty."""
        return self.parameters.get(name.lower()) or None


@dataclass(frozen=True)
class Call:
    """A request of somebody who is logged on, on its way to what it asks for. ``ids`` are those in its path.

    connection: the snapshot in which the caller was found, for what is read in the same breath. spec: of the body.
    """

    engine: Engine
    request: Request
    token: UUID
    logon: Logon
    ids: tuple[str, ...] = ()
    connection: Connection | None = None
    spec: Spec | None = None

    @cached_property
    def body(self) -> Values | None:
        """The body's values, as the route declares it; None if there is no body. Raises InvalidInput."""
        return None if self.spec is None else read(self.request, self.spec)

    @property
    def base(self) -> str:
        return self.request.base

    @cached_property
    def id(self) -> UUID:
        """The first GUID in the path. Raises InvalidIdentifier."""
        return parse_guid(self.ids[0])

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot of the catalog."""
        if self.connection is not None:
            yield self.connection
        else:
            with self.engine.database.read() as connection:
                yield connection

    @property
    def visible(self) -> Visibility:
        """What of the VMs the caller may see."""
        return Visibility.of(self.logon.account)

    @property
    def caller(self) -> Caller:
        """Who asks, for the record of a session."""
        return Caller(self.logon.account.name, self.request.address)

    @property
    def form(self) -> Form:
        """Which documents are asked for: ``format=Entity`` or ``Entities``; references otherwise.

        Raises InvalidInput for another value.
        """
        given = self.request.parameter("format")
        if given is None or given.lower() in ("reference", "references"):
            return Form.REFERENCE
        if given.lower() in ("entity", "entities"):
            return Form.ENTITY
        raise InvalidInput(f"format={given} is not known", hint="Write format=Entity, or leave it out.")
