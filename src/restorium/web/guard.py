"""Who gets in: the names that this server answers to, the cookie of a logon session, and where a POST comes from."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from restorium.em.origin import Origin
from restorium.flows.engine import Engine
from restorium.native.tokens import Logon, find_logon
from restorium.vocabulary.errors import AccessDenied, InvalidIdentifier, NotAuthenticated
from restorium.vocabulary.ids import parse_guid

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer."""


class Guard:
    """Looks at requests before any page does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._origin = Origin(engine.settings.http, engine.settings.server_name)

    def base(self, request: Request) -> str:
        """``https://HOST:PORT`` as the browser calls it. Raises InvalidInput for a name that is not this server's."""
        client, server = request.client, request.scope.get("server") or ("localhost", 0)
        address = client.host if client else ""
        base = self._origin.base(request.headers, request.url.scheme, address, (server[0], server[1]))
        return base.removesuffix("/api")

    def check_source(self, request: Request, base: str) -> None:
        """Raises AccessDenied unless the browser says that one of this server's own pages sends the request."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
        # Since pages send no referrer, browsers that tell the site call the origin of a form "null".
        if site != "same-origin" and (site is not None or origin.lower() != base.lower()):
            raise AccessDenied(
                "the request does not come from a page of this server", hint="Open the page and use its form."
            )

    def logon(self, request: Request, base: str) -> Logon:
        """Who is logged on in this browser. Raises NotAuthenticated."""
        try:
            token = parse_guid(request.cookies.get(_cookie(base), ""))
        except InvalidIdentifier:
            raise NotAuthenticated("nobody is logged on in this browser") from None
        return find_logon(self._engine, token)


def remember(response: Response, base: str, token: UUID) -> None:
    """Let the browser keep a logon session's token until it is closed; no script can read it."""
    response.set_cookie(
        _cookie(base), str(token), path="/", secure=_is_secure(base), httponly=True, samesite="strict"
    )


def forget(response: Response, base: str) -> None:
    """Let the browser forget the token."""
    response.delete_cookie(_cookie(base), path="/", secure=_is_secure(base), httponly=True, samesite="strict")


def _cookie(base: str) -> str:
    """Browsers take a name that begins so from this very host over TLS alone."""
    return "__Host-restorium" if _is_secure(base) else "restorium"


def _is_secure(base: str) -> bool:
    return base.startswith("https:")
