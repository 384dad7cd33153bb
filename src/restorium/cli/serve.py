"""The server: the one place that puts the parts together."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import structlog
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from restorium.catalog import accounts, servers
from restorium.catalog.database import Database
from restorium.cli.certificate import ensure_certificate
from restorium.cli.data_folder import DataFolder, RunningServer, write_private
from restorium.cli.listener import Address, bind
from restorium.cli.logs import configure_logs
from restorium.cli.memory import share_arenas
from restorium.cli.stopping import stopped_by_signals
from restorium.em import app as em
from restorium.flows import audit, evidence
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.native import app as native
from restorium.native import metrics
from restorium.reference import app as reference
from restorium.settings import Settings
from restorium.vocabulary.clock import Clock, SystemClock
from restorium.vocabulary.roles import Role
from restorium.web import app as web

ADMINISTRATOR = "administrator"
_GRACE_SECONDS = 5
_PASSWORD_BYTES = 18

_log = structlog.get_logger(__name__)


def serve(settings: Settings, *, show: Callable[[str], None], ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    show: called with what an operator has to read once.
    ready: called with the URL once requests are answered.
    Raises AlreadyRunning, InvalidInput and the errors of the database.
    """
    share_arenas()
    configure_logs(settings.log_level)
    clock = SystemClock()
    folder = DataFolder(settings.data)
    address = Address.parse(settings.http.listen)
    with ExitStack() as stack:
        ignore_signals = stack.enter_context(stopped_by_signals())
        stack.enter_context(folder.locked())
        listener = stack.enter_context(bind(address))
        certificate, key = _certificate(settings, folder, address.host, clock)
        database = Database.open(settings.database_url or f"sqlite:///{folder.database.resolve()}", clock)
        stack.callback(database.close)
        _first_account(database, folder, settings, show)
        address = address.at(listener)
        with database.write() as connection:
            servers.describe(connection, name=settings.server_name or socket.gethostname(), port=address.port)
            audit.note(connection, Act("server start"))
        engine = Engine(settings, database, clock)
        stack.callback(engine.stop)
        engine.start()
        evidence.ensure_key(engine)
        stack.callback(ignore_signals)
        running = RunningServer(address.local_url, os.getpid(), certificate.resolve())

        @asynccontextmanager
        async def announced(_: Starlette) -> AsyncIterator[None]:
            with folder.announced(running):
                ready(address.url)
                yield

        enterprise = em.create(engine)
        pages = reference.create(
            {"enterprise-manager": lambda: em.describe(engine), "native": native.describe}
        )
        answered = metrics.Answered()
        measured = settings.metrics.access != "off"
        # Clients write the address with and without a slash at its end, and follow no redirect.
        faces = [
            Route("/api", enterprise),
            Mount("/api", enterprise),
            Mount("/v1", native.create(engine)),
            Mount("/reference", pages),
            *([Route("/metrics", metrics.endpoint(engine, answered))] if measured else []),
            Mount("/", web.create(engine)),
        ]
        served = metrics.Counting(Starlette(routes=faces, lifespan=announced), answered)
        _run(served, engine, listener, certificate, key)
        _log.info("stopping")


class _Server(uvicorn.Server):
    """Ends what is followed and what is idle when it is told to stop, and so does not wait for it."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await to_thread.run_sync(self._engine.feed.close)
        # Closed politely, TLS would wait for clients that only keep a connection open, and may be gone.
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                connection.transport.abort()
        await super().shutdown(sockets)


def _run(app: ASGIApp, engine: Engine, listener: socket.socket, certificate: Path, key: Path) -> None:
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    _Server(config, engine).run(sockets=[listener])


def _certificate(settings: Settings, folder: DataFolder, host: str, clock: Clock) -> tuple[Path, Path]:
    certificate = settings.http.certificate or folder.certificate
    key = settings.http.certificate_key or folder.certificate_key
    ensure_certificate(certificate, key, listen_host=host, now=clock.now())
    return certificate, key


def _first_account(
    database: Database, folder: DataFolder, settings: Settings, show: Callable[[str], None]
) -> None:
    """Make the administrator's account unless there are accounts already.

    The password's file is written before the account: a crash in between leaves a file that is written anew.
    """
    with database.write() as connection:
        if accounts.count(connection):
            return
        if settings.admin_password is not None:
            password = settings.admin_password.get_secret_value()
        else:
            password = secrets.token_urlsafe(_PASSWORD_BYTES)
            write_private(folder.initial_password, password + "\n")
            show(f"made the account {ADMINISTRATOR} with the password {password}")
            show(f"the password is also in {folder.initial_password}; change it and remove that file")
        made = accounts.add(
            connection, ADMINISTRATOR, password, roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True
        )
        audit.note(connection, Act("server make the first account"), made=str(made.id))
