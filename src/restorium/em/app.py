"""The face, put together: from a request's bytes to an answer's, and from an error to its document."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import structlog
from anyio import to_thread
from sqlalchemy.engine import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restorium.catalog.logons import Logon
from restorium.em import as_json, as_xml, logon, openapi, querying, reading, resources, schema, tasks
from restorium.em.call import Answer, Call, Request
from restorium.em.errors import refusal, told
from restorium.em.logon import LoggedOn
from restorium.em.negotiation import Media, accepted
from restorium.em.origin import Origin
from restorium.em.routing import Place, Route, Router
from restorium.flows import audit
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import AccessDenied, InvalidInput, RestoriumError

_log = structlog.get_logger(__name__)

_WHOLE_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
_LONGEST_LENGTH = 19
"""Digits of a Content-Length that can be meant."""
_SHORT_QUERY = 256
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create(engine: Engine) -> ASGIApp:
    """The application to serve at ``/api``."""
    return _Face(engine, routed(engine))


def describe(engine: Engine) -> dict[str, Any]:
    """The face as an OpenAPI document, in the names of XML."""
    return openapi.write(routed(engine).routes, as_json.pascal)


def routed(engine: Engine) -> Router:
    """All routes: those of all declared entities, and the ROUTES of their modules besides."""
    modules = [
        importlib.import_module(f"{resources.__name__}.{module.name}")
        for module in pkgutil.iter_modules(resources.__path__)
    ]
    declared = [route for module in modules for route in getattr(module, "ROUTES", ())]
    router = Router()
    logon.add_routes(engine, router)
    known = [*tasks.ROUTES, *querying.routes(), *reading.routes(), *declared]
    router.add(map(reading.described, known))
    naming = as_json.camel if engine.settings.em.json_camel_case else as_json.pascal
    router.open(schema.served(router), openapi.served(router, naming))
    return router


@dataclass(frozen=True, slots=True)
class _Rendered:
    """An answer as bytes: ``first`` is its beginning, ``rest`` what follows; None if that was all.

    due: the logon session whose use is to be noted once the answer is sent.
    """

    status: int
    headers: Mapping[str, str]
    first: bytes
    rest: Iterator[bytes] | None = None
    due: Logon | None = None


class _Face:
    def __init__(self, engine: Engine, router: Router) -> None:
        self._engine = engine
        self._origin = Origin(engine.settings.http, engine.settings.server_name)
        self._naming = as_json.camel if engine.settings.em.json_camel_case else as_json.pascal
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        body = await _body(headers, receive, self._engine.settings.em.max_body_bytes)
        segments = _segments(scope)
        place = self._router.find(segments)
        brief = _is_brief(place, _method(scope))
        if brief and self._engine.database.reads_wait_for_nobody:
            # Handing it to a thread and back would take longer than answering it.
            rendered = self._render(scope, headers, body, segments, place, brief)
        else:
            rendered = await to_thread.run_sync(self._render, scope, headers, body, segments, place, brief)
        await _send(rendered, scope["method"], send, receive)
        if rendered.due is not None:
            await to_thread.run_sync(logon.touch, self._engine, rendered.due)

    def _render(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        body: bytes | None,
        segments: tuple[str, ...],
        place: Place | None,
        brief: bool,
    ) -> _Rendered:
        media = accepted(headers.get("accept"))
        if media is None:
            told_why = refusal(
                406, f"{headers['accept']} is not written here: ask for application/xml or /json"
            )
            return self._written(told_why, Media.XML)
        try:
            if body is None:
                raise InvalidInput(
                    f"the body is larger than {self._engine.settings.em.max_body_bytes} bytes",
                    hint="Send a smaller one.",
                )
            answer, due = self._answer(self._request(scope, headers, body, segments), place, brief)
            return self._written(answer, media, due)
        except RestoriumError as error:
            return self._written(told(error), media)
        except Exception:  # noqa: BLE001  the client gets the interface's error document, the log the rest
            _log.exception("a request failed unexpectedly", method=scope["method"], path=scope["path"])
            return self._written(told(RestoriumError("the server failed to answer")), media)

    def _request(
        self, scope: Scope, headers: Mapping[str, str], body: bytes, segments: tuple[str, ...]
    ) -> Request:
        address = scope["client"][0] if scope.get("client") else ""
        server = tuple(scope.get("server") or ("localhost", 0))
        base = self._origin.base(headers, scope["scheme"], address, (server[0], server[1]))
        query = scope["query_string"].decode("latin-1")
        parameters = _repeated(query) if len(query) <= _SHORT_QUERY else _parameters(query)
        return Request(_method(scope), base, segments, parameters, headers, body, address)

    def _answer(self, request: Request, place: Place | None, brief: bool) -> tuple[Answer, Logon | None]:
        """The answer, and the logon session whose use is to be noted."""
        if place is not None and request.method in place.open:
            return place.open[request.method].handler(request), None
        database, idle = self._engine.database, self._engine.settings.em.logon_idle
        if brief:
            with database.read_briefly() as connection:
                who = logon.authenticate(connection, request, idle)
                return self._answered(who, place, request, connection)
        with database.read() as connection:
            who = logon.authenticate(connection, request, idle)
        return self._answered(who, place, request, None)

    def _answered(
        self, who: LoggedOn, place: Place | None, request: Request, connection: Connection | None
    ) -> tuple[Answer, Logon | None]:
        due = who.logon if who.logon.due else None
        try:
            return self._for(who, place, request, connection), due
        except RestoriumError as error:
            return told(error), due

    def _for(
        self, who: LoggedOn, place: Place | None, request: Request, connection: Connection | None
    ) -> Answer:
        if place is None:
            return refusal(404, f"{request.path} names nothing of this interface. Check the path.")
        if request.method not in place.routes:
            refused = f"{request.path} answers to {place.allowed} only."
            return refusal(405, refused, {"Allow": place.allowed})
        route = _route(request, place.routes[request.method])
        account = who.logon.account
        call = Call(self._engine, request, who.token, who.logon, place.ids, connection, route.body)
        if not route.roles & account.roles:
            denied = AccessDenied(f"{account.name} may not {request.method} {request.path}")
            if route.method != "GET":
                audit.refused(self._engine, _act(route, call), denied)
            raise denied
        if route.download:
            audit.downloaded(self._engine, _act(route, call))
        if route.method == "GET":
            return route.handler(call)
        with audit.recorded(self._engine, _act(route, call)) as outcome:
            answer = route.handler(call)
            outcome.made, outcome.failure = _made(answer), answer.failure
            return answer

    def _written(self, answer: Answer, media: Media, due: Logon | None = None) -> _Rendered:
        if answer.content is not None:
            # Its beginning is read before the status is sent: what is damaged there is told as any other error.
            first = next(answer.content, b"")
            return _Rendered(answer.status, {**_ALWAYS, **answer.headers}, first, answer.content, due)
        if answer.document is None:
            return _Rendered(answer.status, {**_ALWAYS, **answer.headers}, b"", due=due)
        if media is Media.JSON:
            pieces, media_type = as_json.write(answer.document, self._naming), as_json.MEDIA_TYPE
        else:
            pieces, media_type = as_xml.write(answer.document), as_xml.MEDIA_TYPE
        headers = {"Content-Type": media_type, **_ALWAYS, **answer.headers}
        chunks = _chunks(pieces)
        first = next(chunks, b"")
        if len(first) < _WHOLE_BYTES:
            return _Rendered(answer.status, headers, first, due=due)
        return _Rendered(answer.status, headers, first, chunks, due)


def _method(scope: Scope) -> str:
    """What the request is answered as: HEAD is a GET of which the body stays here."""
    return "GET" if scope["method"] == "HEAD" else scope["method"]


def _parameters(query: str) -> Mapping[str, str]:
    try:
        given = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except (UnicodeDecodeError, ValueError):
        raise InvalidInput("the query is not UTF-8, or has over 100 parameters") from None
    return {name.lower(): value for name, value in given}


_repeated = lru_cache(maxsize=1024)(_parameters)
"""For short queries, of which clients repeat a few."""


def _act(route: Route, call: Call) -> Act:
    """What the audit log says of a request."""
    action = f"?action={route.action}" if route.action else ""
    subject = () if route.secret_ids else call.ids
    operation = f"em {route.method} {route.path}{action}"
    return Act(operation, call.caller.account, call.caller.address, subject)


def _made(answer: Answer) -> str | None:
    """What an action made: named by its task, or by the address of what was created."""
    if answer.status != 201:
        return answer.made
    return answer.headers.get("Location", "").rpartition("/")[2] or None


def _is_brief(place: Place | None, method: str) -> bool:
    """Whether what the method does there is done in a read or two."""
    routes = {} if place is None else place.routes.get(method, {})
    return bool(routes) and all(route.brief for route in routes.values())


def _segments(scope: Scope) -> tuple[str, ...]:
    """The path below ``/api``, without empty segments. A slash that is written ``%2F`` is part of a name."""
    segments = scope["raw_path"].decode("latin-1").split("/")
    return tuple([unquote(segment) for segment in segments if segment][1:])


def _route(request: Request, routes: Mapping[str | None, Route]) -> Route:
    action = request.parameter("action")
    route = routes.get(action.lower() if action else None)
    if route is not None:
        return route
    if action is not None and None in routes and request.method in ("GET", "PUT"):
        return routes[None]
    offered = ", ".join(sorted(str(each.action) for each in routes.values() if each.action)) or "none"
    given = f"action={action} is not known" if action else "no action is named"
    raise InvalidInput(
        f"{given} for {request.method} {request.path}", hint=f"Actions of this path: {offered}."
    )


def _chunks(pieces: Iterator[str]) -> Iterator[bytes]:
    """The pieces joined: one chunk if it is all there is, else a large one first, then smaller ones."""
    pending: list[str] = []
    size, enough = 0, _WHOLE_BYTES
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= enough:
            yield "".join(pending).encode()
            pending.clear()
            size, enough = 0, _CHUNK_BYTES
    if pending:
        yield "".join(pending).encode()


async def _body(headers: Mapping[str, str], receive: Receive, most: int) -> bytes | None:
    """The request's body; None as soon as it is known to be larger than ``most``."""
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > _LONGEST_LENGTH or int(length) > most):
        return None
    content = bytearray()
    more = True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
        if len(content) > most:
            return None
    return bytes(content)


async def _send(rendered: _Rendered, method: str, send: Send, receive: Receive) -> None:
    headers = dict(rendered.headers)
    if rendered.rest is None and rendered.status != 204:
        headers["Content-Length"] = str(len(rendered.first))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": rendered.status, "headers": raw})
    if method == "HEAD" or rendered.rest is None:
        await send(_part(b"" if method == "HEAD" else rendered.first, more=False))
        return
    await send(_part(rendered.first, more=True))
    gone = asyncio.ensure_future(receive())  # nothing comes any more but the news that the client has left
    try:
        while not _has_left(gone) and (chunk := await to_thread.run_sync(next, rendered.rest, b"")):
            await send(_part(chunk, more=True))
        await send(_part(b"", more=False))
    finally:
        gone.cancel()


def _has_left(gone: asyncio.Future[Message]) -> bool:
    return gone.done() and gone.exception() is None and gone.result()["type"] == "http.disconnect"


def _part(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}
