"""Logging on: a name and a password for a token, which is a logon session of the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from restorium.catalog import accounts, logons
from restorium.flows import logons as flows
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.native.exchange import Endpoint, decode, encode, guarded, read
from restorium.vocabulary.errors import InvalidIdentifier, NotAuthenticated
from restorium.vocabulary.ids import parse_guid

_HINT = "Get a token with POST /v1/tokens."


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """An account's name and password."""

    name: str
    password: str


class Token(msgspec.Struct):
    """``token`` goes into the header ``Authorization: Bearer``; it ends when unused for ``idle_seconds``."""

    token: UUID
    idle_seconds: int


@dataclass(frozen=True, slots=True)
class Logon:
    """Who is logged on, and by which token."""

    token: UUID
    session: logons.Logon

    @property
    def account(self) -> accounts.Account:
        return self.session.account


def log_on(engine: Engine) -> Endpoint:
    """``POST /tokens``: credentials for a token."""

    async def serve(request: Request) -> Response:
        credentials = decode(await read(request), Credentials)
        address = request.client.host if request.client else ""
        return encode(await to_thread.run_sync(open_logon, engine, credentials, address), 201)

    return guarded(serve)


def log_off(engine: Engine) -> Endpoint:
    """``DELETE /tokens/current``: end the token that the request carries."""

    def close(request: Request) -> None:
        address = request.client.host if request.client else None
        close_logon(engine, authenticate(engine, request), address)

    async def serve(request: Request) -> Response:
        await to_thread.run_sync(close, request)
        return encode(None, 204)

    return guarded(serve)


def open_logon(engine: Engine, credentials: Credentials, address: str) -> Token:
    """A new token; ``address`` is the client's. Raises NotAuthenticated, also after too many failures."""
    token, _ = flows.log_on(
        engine, credentials.name, credentials.password, address=address, operation="native POST /tokens"
    )
    return Token(token, int(engine.settings.em.logon_idle.total_seconds()))


def close_logon(engine: Engine, logon: Logon, address: str | None = None) -> None:
    """End a token, and the mounts that it holds; ``address`` is the client's."""
    act = Act("native DELETE /tokens/current", logon.account.name, address)
    flows.log_off(engine, logon.token, act)


def authenticate(engine: Engine, request: Request) -> Logon:
    """Who asks, by the request's token, whose idle time begins anew. Raises NotAuthenticated."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated("the request carries no token", hint=_HINT)
    try:
        token = parse_guid(credential.strip())
    except InvalidIdentifier:
        raise NotAuthenticated("the token is not one of this server", hint=_HINT) from None
    return find_logon(engine, token)


def find_logon(engine: Engine, token: UUID) -> Logon:
    """Who holds a token, whose idle time begins anew. Raises NotAuthenticated."""
    with engine.database.read() as connection:
        logon = logons.find(connection, token, engine.settings.em.logon_idle)
    if logon is None:
        raise NotAuthenticated("the token is unknown or has idled for too long", hint=_HINT)
    if logon.due:
        with engine.database.write() as connection:
            logons.touch(connection, logon)
    return Logon(token, logon)
