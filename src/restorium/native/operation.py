"""What an operation of the native API is, and how a request becomes a call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from restorium.catalog.listing import Visibility
from restorium.flows import audit
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.native.exchange import Endpoint, decode, encode, guarded, moment, read, whole
from restorium.native.lines import Lines
from restorium.native.tokens import Logon, authenticate
from restorium.vocabulary.errors import AccessDenied, InvalidInput
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role

_DEFAULT_LIMIT = 100
_LARGEST_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood: who asks (``logon``), and what for; ``body`` is of the operation's type."""

    engine: Engine
    logon: Logon
    request: Request
    body: Any

    @property
    def id(self) -> UUID:
        """The GUID in the path. Raises InvalidIdentifier."""
        return self.path_id("id")

    def path_id(self, name: str) -> UUID:
        """The GUID that stands in the path at ``{name}``. Raises InvalidIdentifier."""
        return parse_guid(self.request.path_params[name])

    @property
    def caller(self) -> Caller:
        """Who asks, for the record of a session."""
        client = self.request.client
        return Caller(self.logon.account.name, client.host if client else None)

    @property
    def visible(self) -> Visibility:
        """What the caller may see."""
        return Visibility.of(self.logon.account)

    def moment(self, name: str) -> datetime | None:
        """The moment that a parameter of the query names; None if it is not there. Raises InvalidInput."""
        text = self.request.query_params.get(name)
        return None if text is None else moment(name, text)

    @property
    def limit(self) -> int:
        """``?limit=``: the most items to answer with. Raises InvalidInput."""
        text = self.request.query_params.get("limit", str(_DEFAULT_LIMIT))
        limit = whole(text, 1, _LARGEST_LIMIT)
        if limit is None:
            raise InvalidInput(f"limit={text} is not a number from 1 to {_LARGEST_LIMIT}")
        return limit


@dataclass(frozen=True, slots=True)
class Operation:
    """``function`` gives what is answered as JSON with ``status``, or a response that is sent as it is; None is
    answered with no body.

    roles: of which the caller needs one. body: the type that the request's JSON must have, if it has any.
    query: the names of its parameters. download: what it gives is content of a VM.
    """

    method: str
    path: str
    function: Callable[[Call], Any]
    roles: frozenset[Role]
    body: Any = None
    status: int = 200
    query: tuple[str, ...] = ()
    download: bool = False

    def endpoint(self, engine: Engine) -> Endpoint:
        """The operation, served; its work is done in a worker thread."""

        async def serve(request: Request) -> Response:
            content = await read(request) if self.body is not None else b""
            return await to_thread.run_sync(self._answer, engine, request, content)

        return guarded(serve)

    def perform(
        self, engine: Engine, logon: Logon, request: Request, body: Callable[[], Any] = lambda: None
    ) -> Any:
        """What the function gives; ``body`` is called only if the caller may. Raises AccessDenied and what both do.

        What is no reading is in the audit log before it is begun, and once it is over.
        """
        act = self._act(request, logon)
        if not self.roles & logon.account.roles:
            denied = AccessDenied(f"{logon.account.name} may not {self.method} {request.url.path}")
            if self.method != "GET":
                audit.refused(engine, act, denied)
            raise denied
        if self.download:
            audit.downloaded(engine, act)
        if self.method == "GET":
            return self.function(Call(engine, logon, request, body()))
        with audit.recorded(engine, act) as outcome:
            answer = self.function(Call(engine, logon, request, body()))
            if isinstance(answer, Lines):
                answer.at_end(outcome.later())
            else:
                made = getattr(answer, "id", None)
                outcome.made = None if made is None else str(made)
            return answer

    def _answer(self, engine: Engine, request: Request, content: bytes) -> Response:
        def body() -> Any:
            return decode(content, self.body) if self.body is not None else None

        answer = self.perform(engine, authenticate(engine, request), request, body)
        return answer if isinstance(answer, Response) else encode(answer, self.status)

    def _act(self, request: Request, logon: Logon) -> Act:
        """What the audit log says of a request."""
        client = request.client
        subject = tuple(str(each) for each in request.path_params.values())
        if self.download and "path" in request.query_params:
            subject += (request.query_params["path"],)
        operation = f"native {self.method} {self.path}"
        return Act(operation, logon.account.name, client.host if client else None, subject)
