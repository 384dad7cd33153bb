"""Looking after a repository while somebody waits for it: verifying, pruning, counting what takes its room.

Each may be stopped anywhere and begun again, so none needs a durable flow: it lives as long as the request for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from restorium.catalog import points, repositories
from restorium.flows import pruning
from restorium.flows.engine import Engine
from restorium.vault import PruneReport, VaultStats, VerifyReport

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is, and of how much if that is known."""


def verify(
    engine: Engine,
    repository_id: UUID,
    progress: Progress,
    cancelled: Callable[[], bool],
    *,
    read_data: bool,
    quarantine: bool,
) -> VerifyReport:
    """Hold a repository against its digests, and note with each restore point what was found of it.

    read_data: without it only the index is followed. quarantine: damaged packs are not counted on any more, so that
    the next backup that has what is in them stores it again. Raises NotFound, Cancelled, StorageUnavailable.
    """
    with engine.running():
        vault = engine.vault(repository_id)
        total = vault.usage().stored_bytes if read_data else None
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress("reading", done, total)

        report = vault.verify(
            read_data=read_data,
            quarantine=quarantine,
            progress=advance,
            cancelled=lambda: cancelled() or engine.stopping.is_set(),
            threads=engine.settings.vault.threads,
        )
        found = {
            check.name: "; ".join(check.problems) or None for check in report.checks if not check.transient
        }
        with engine.database.write() as connection:
            points.record_verification(connection, repository_id, found, read_data=read_data)
        return report


def prune(
    engine: Engine, repository_id: UUID, progress: Progress, cancelled: Callable[[], bool]
) -> PruneReport:
    """Prune a repository now. Raises NotFound, Cancelled, StorageUnavailable, RepositoryFull."""
    with engine.database.write() as connection:
        repositories.begin_prune(connection, repository_id, timedelta())
    return pruning.prune(engine, repository_id, progress, cancelled)


def stats(
    engine: Engine, repository_id: UUID, progress: Progress, cancelled: Callable[[], bool]
) -> VaultStats:
    """What a repository's room is used for. Raises NotFound, Cancelled, StorageUnavailable."""
    with engine.running():
        return engine.vault(repository_id).stats(
            progress=lambda done, total: progress("counting", done, total),
            cancelled=lambda: cancelled() or engine.stopping.is_set(),
        )
