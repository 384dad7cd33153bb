"""What an operation of the native API is, and how a request becomes a call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from restorium.catalog.listing import Visibility
from restorium.flows.engine import Engine
from restorium.native.exchange import Endpoint, decode, encode, guarded, read, whole
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
    query: the names of its parameters.
    """

    method: str
    path: str
    function: Callable[[Call], Any]
    roles: frozenset[Role]
    body: Any = None
    status: int = 200
    query: tuple[str, ...] = ()

    def endpoint(self, engine: Engine) -> Endpoint:
        """The operation, served; its work is done in a worker thread."""

        async def serve(request: Request) -> Response:
            content = await read(request) if self.body is not None else b""
            return await to_thread.run_sync(self._answer, engine, request, content)

        return guarded(serve)

    def perform(
        self, engine: Engine, logon: Logon, request: Request, body: Callable[[], Any] = lambda: None
    ) -> Any:
        """What the function gives; ``body`` is called only if the caller may. Raises AccessDenied and what both do."""
        if not self.roles & logon.account.roles:
            raise AccessDenied(f"{logon.account.name} may not {self.method} {request.url.path}")
        return self.function(Call(engine, logon, request, body()))

    def _answer(self, engine: Engine, request: Request, content: bytes) -> Response:
        def body() -> Any:
            return decode(content, self.body) if self.body is not None else None

        answer = self.perform(engine, authenticate(engine, request), request, body)
        return answer if isinstance(answer, Response) else encode(answer, self.status)
