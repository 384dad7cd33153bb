"""The page, put together: from a request to a page, and from an error to the page that tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from urllib.parse import urlencode

import structlog
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from restorium.flows.engine import Engine
from restorium.native.errors import status_of
from restorium.native.exchange import read
from restorium.native.tokens import Logon
from restorium.vocabulary.errors import (
    InvalidInput,
    NotAuthenticated,
    NotFound,
    RestoriumError,
    Unsupported,
)
from restorium.web import guard, live, rendering
from restorium.web.guard import Guard
from restorium.web.logging_on import LoggingOn
from restorium.web.pages import (
    accounts,
    drill_forms,
    drills,
    files,
    hosts,
    job_forms,
    jobs,
    overview,
    points,
    repositories,
    repository_forms,
    sessions,
    vms,
)
from restorium.web.visit import Form, Page, Visit
from restorium.web.works import Works

_log = structlog.get_logger(__name__)

PAGES = (
    *overview.PAGES,
    *sessions.PAGES,
    *vms.PAGES,
    *points.PAGES,
    *files.PAGES,
    *job_forms.PAGES,
    *jobs.PAGES,
    *drill_forms.PAGES,
    *drills.PAGES,
    *hosts.PAGES,
    *repositories.PAGES,
    *repository_forms.PAGES,
    *accounts.PAGES,
    *live.PAGES,
)

_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

Answering = Callable[[Request, str], Awaitable[Response]]
"""A request and the address that the browser calls the server by, to an answer."""


def create(engine: Engine) -> Starlette:
    """The application to mount at ``/``."""
    return _Site(engine).application()


class _Site:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = Guard(engine)
        self._works = Works()
        self._logging_on = LoggingOn(engine)

    def application(self) -> Starlette:
        served: dict[str, dict[str, Answering]] = {
            "/log-on": {"GET": self._logging_on.show, "POST": self._logging_on.log_on},
            "/log-off": {"POST": self._log_off},
        }
        for page in PAGES:
            served.setdefault(page.path, {})[page.method] = self._page(page)
        routes = [Route(path, self._by_method(found), methods=list(found)) for path, found in served.items()]
        routes += [Route(f"/static/{name}", _static(name, kind)) for name, kind in _STATIC.items()]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._not_served})

    def _by_method(self, found: dict[str, Answering]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                base = self._guard.base(request)
                if request.method == "POST":
                    self._guard.check_source(request, base)
                answer = await found["GET" if request.method == "HEAD" else request.method](request, base)
            except NotAuthenticated:
                answer = self._to_log_on(request)
            except RestoriumError as error:
                answer = await self._told(request, error)
            except Exception:  # noqa: BLE001  the visitor gets a page, the log the rest
                _log.exception("a page failed unexpectedly", method=request.method, path=request.url.path)
                answer = await self._told(request, RestoriumError("the server failed to make this page"))
            answer.headers.update(guard.HEADERS)
            return answer

        return serve

    def _page(self, page: Page) -> Answering:
        async def serve(request: Request, base: str) -> Response:
            form = Form(await read(request)) if page.method == "POST" else Form()
            return await to_thread.run_sync(self._visited, page, request, base, form)

        return serve

    def _visited(self, page: Page, request: Request, base: str, form: Form) -> Response:
        logon = self._guard.logon(request, base)
        return page.function(Visit(self._engine, request, base, logon, form, self._works))

    async def _log_off(self, request: Request, base: str) -> Response:
        def logon() -> Logon:
            return self._guard.logon(request, base)

        return await self._logging_on.log_off(base, await to_thread.run_sync(logon))

    def _to_log_on(self, request: Request) -> Response:
        """What was asked for is shown after it, if it is a page to look at."""
        asked = request.url.path
        if request.url.query:
            asked = f"{asked}?{request.url.query}"
        query = {} if request.method == "POST" or asked == "/" else {"next": asked}
        return RedirectResponse(f"/log-on?{urlencode(query)}" if query else "/log-on", 303)

    async def _told(self, request: Request, error: RestoriumError, status: int | None = None) -> Response:
        """An error as a page: with all that is around a page to whoever is logged on."""

        def render() -> Response:
            try:
                base = self._guard.base(request)
                visit = Visit(
                    self._engine, request, base, self._guard.logon(request, base), Form(), self._works
                )
            except (NotAuthenticated, InvalidInput):
                text = rendering.render("outside_error.html", error=error)
                return Response(text, status or status_of(error), media_type="text/html")
            return visit.show("error.html", status=status or status_of(error), error=error)

        return await to_thread.run_sync(render)

    async def _not_served(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            refusal = Unsupported(f"{request.method} is not what this page is for", hint="Open it as a link.")
            answer = await self._told(request, refusal, 405)
        else:
            missing = NotFound(f"there is no page {request.url.path}", hint="Check the address.")
            answer = await self._told(request, missing)
        answer.headers.update(guard.HEADERS)
        return answer


def _static(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = resources.files("restorium.web").joinpath("static", name).read_bytes()
    headers = {**guard.HEADERS, "Cache-Control": "no-cache"}

    async def serve(_request: Request) -> Response:
        return Response(content, headers=headers, media_type=media_type)

    return serve
