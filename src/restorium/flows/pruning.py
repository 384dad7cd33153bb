"""Pruning by the server itself: each repository once in so many hours, by whichever worker comes first.

A prune may be stopped anywhere and run again, so it needs no durable flow and no session: the catalog notes when one
began, which is what keeps two workers from it, and what came of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import structlog

from restorium.catalog import repositories
from restorium.flows import audit
from restorium.flows.audit import Act
from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.vault import PruneReport
from restorium.vocabulary.errors import Cancelled, RestoriumError

_log = structlog.get_logger(__name__)


class Pruning:
    """What the engine's beat calls beside the kinds of sessions. One prune at a time runs in a process."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None

    def reconcile(self, engine: Engine) -> None:
        """Begin a prune that is due, if none runs here."""
        interval = engine.settings.prune_interval
        if not interval or (self._running is not None and self._running.is_alive()):
            return
        with engine.database.read() as connection:
            due = repositories.due_for_prune(connection, interval)
        for repository in due:
            with engine.database.write() as connection:
                mine = repositories.begin_prune(connection, repository.id, interval)
            if mine:
                self._running = threading.Thread(
                    target=_prune_beside, args=(engine, repository.id), name="prune", daemon=True
                )
                self._running.start()
                return


def prune(
    engine: Engine,
    repository_id: UUID,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> PruneReport:
    """Prune a repository and note what came of it.

    Raises Interrupted if the process stops, Cancelled, NotFound, StorageUnavailable, RepositoryFull.
    """
    with engine.running():
        vault = engine.vault(repository_id)
        try:
            report = vault.prune(progress=progress, cancelled=lambda: cancelled() or engine.stopping.is_set())
            usage = vault.usage()
        except Cancelled:
            _note(engine, repository_id, "stopped, and taken up again at the next time", Cancelled.code)
            raise
        except RestoriumError as error:
            _note(engine, repository_id, f"failed: {error.message}", error.code)
            raise
        with engine.database.write() as connection:
            repositories.record_usage(
                connection,
                repository_id,
                capacity_bytes=usage.capacity_bytes,
                free_bytes=usage.free_bytes,
            )
        _note(engine, repository_id, _told(report))
        return report


def _note(engine: Engine, repository_id: UUID, outcome: str, code: str = audit.OK) -> None:
    with engine.database.write() as connection:
        repositories.end_prune(connection, repository_id, outcome)
        audit.note(connection, Act("server prune", subject=(str(repository_id),)), code)
    _log.info("a repository was pruned", repository=str(repository_id), outcome=outcome)


def _prune_beside(engine: Engine, repository_id: UUID) -> None:
    with suppress(Interrupted, Cancelled):
        try:
            prune(engine, repository_id)
        except Exception as error:  # noqa: BLE001  nobody waits for this thread
            _log.warning("a prune failed", repository=str(repository_id), error=repr(error))


def _told(report: PruneReport) -> str:
    if report.unreadable:
        name, problem = report.unreadable[0]
        return f"nothing was removed, for {name} cannot be read: {problem}"
    return (
        f"removed {report.removed_bytes} bytes in {report.removed_packs} packs;"
        f" {report.waiting_bytes} bytes in {report.waiting_packs} wait to be removed"
    )


Engine.register(Pruning())
