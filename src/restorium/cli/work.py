"""A worker: carries flows beside a server, and answers no requests."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import structlog

from restorium.catalog.database import Database
from restorium.cli.data_folder import DataFolder
from restorium.cli.logs import configure_logs
from restorium.cli.memory import share_arenas
from restorium.cli.stopping import stopped_by_signals
from restorium.flows.engine import Engine
from restorium.settings import Settings
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import InvalidInput

_log = structlog.get_logger(__name__)


def work(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Carry backups, restores and drills until SIGTERM or SIGINT.

    ready: called with the worker's id once it takes work. Raises InvalidInput where no server can share the work,
    AlreadyRunning, and the errors of the database.
    """
    share_arenas()
    configure_logs(settings.log_level)
    if settings.database_url is None or settings.database_url.startswith("sqlite"):
        raise InvalidInput(
            "a worker shares a PostgreSQL database with its server, and none is set",
            hint="Set database_url as the server has it; with SQLite the server does all work itself.",
        )
    if not (settings.data / "master.key").exists():
        raise InvalidInput(
            f"{settings.data} has no master.key, without which repositories cannot be opened",
            hint="Copy master.key from the server's data folder.",
        )
    with ExitStack() as stack:
        ignore = stack.enter_context(stopped_by_signals())
        stack.enter_context(DataFolder(settings.data).locked())
        clock = SystemClock()
        database = Database.open(settings.database_url, clock)
        stack.callback(database.close)
        engine = Engine(settings, database, clock)
        stack.callback(engine.stop)
        engine.start()
        stack.callback(ignore)
        ready(engine.worker_id)
        while True:
            signal.pause()
