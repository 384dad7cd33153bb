"""Logging on and off in the browser: the cookie holds the token of a logon session, as the native API gives it."""

from __future__ import annotations

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from restorium.flows.engine import Engine
from restorium.native.errors import status_of
from restorium.native.exchange import read
from restorium.native.tokens import Credentials, Logon, close_logon, open_logon
from restorium.vocabulary.errors import NotAuthenticated
from restorium.web import guard, rendering
from restorium.web.visit import Form


class LoggingOn:
    """The pages before anybody is known."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def show(self, request: Request, base: str) -> Response:
        """The form."""
        return _page(request.query_params.get("next", ""))

    async def log_on(self, request: Request, base: str) -> Response:
        """To the page that was asked for; the form again if the name or the password is wrong."""
        form = Form(await read(request))
        address = request.client.host if request.client else ""
        credentials = Credentials(form["name"], form["password"])
        try:
            token = await to_thread.run_sync(open_logon, self._engine, credentials, address)
        except NotAuthenticated as error:
            return _page(form["next"], form["name"], error)
        answer = RedirectResponse(_own(form["next"]), 303)
        guard.remember(answer, base, token.token)
        return answer

    async def log_off(self, base: str, logon: Logon) -> Response:
        await to_thread.run_sync(close_logon, self._engine, logon)
        answer = RedirectResponse("/log-on", 303)
        guard.forget(answer, base)
        return answer


def _page(then: str, name: str = "", error: NotAuthenticated | None = None) -> Response:
    text = rendering.render("log_on.html", next=then, name=name, error=error)
    return Response(text, 200 if error is None else status_of(error), media_type="text/html")


def _own(path: str) -> str:
    """A path of this server, or the first page: browsers read ``//`` and ``/\\`` as another host."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and path.isascii() else "/"
