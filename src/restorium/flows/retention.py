"""Retention, after each run that made a restore point, or by hand: points leave the catalog, then the repository.

Only manifests are removed. The chunks of a point stay in their packs until a prune.
"""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import structlog

from restorium.catalog import backups, job_sessions, jobs, manifests, retention, schedules
from restorium.flows import audit
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.flows.restore_source import RestoreSource
from restorium.vocabulary.errors import PointLocked, VaultError
from restorium.vocabulary.schedule import zone_of

_log = structlog.get_logger(__name__)


def apply(engine: Engine, session_id: UUID) -> None:
    """Remove what the job of that session keeps no longer, and manifests that an earlier time left behind.

    May run any number of times. That a repository does not answer is told and made up for after the next run.
    """
    with engine.database.write() as connection:
        job_id = job_sessions.get(connection, session_id).job_id
        if job_id is None:
            return
        job = jobs.get(connection, job_id)
        backup = backups.ensure(connection, job.id)
    policy, schedule = jobs.retention_of(job), schedules.of(job)
    zone = zone_of(schedule.zone) if schedule else UTC
    while policy is not None:
        with engine.database.write() as connection:
            gone = retention.expire(connection, backup.id, policy, zone)
            if not gone:
                break
            told = f"Retention removed {len(gone)} restore points: {', '.join(gone)}."
            job_sessions.add_event(connection, session_id, "info", told)
            audit.note(connection, Act("server expire restore points", subject=(str(backup.id), *gone)))
    try:
        remove_manifests(engine, job.repository_id)
    except VaultError as error:
        told = f"Expired restore points could not be removed from the repository: {error.message}"
        with engine.database.write() as connection:
            job_sessions.add_event(connection, session_id, "warning", told)


def remove_point(engine: Engine, point_id: UUID) -> None:
    """Remove one VM's restore point. What it alone needs is freed by a prune.

    Raises NotFound, PointLocked if its repository may not let it go yet, Conflict while a restore reads it, and
    VaultError if the repository does not answer, with nothing removed.
    """
    point = RestoreSource(engine, point_id, str(point_id)).row
    engine.vault(point.repository_id).check_deletable(point.vault_point)
    with engine.database.write() as connection:
        retention.remove_vm_point(connection, point_id)
    try:
        remove_manifests(engine, point.repository_id)
    except VaultError as error:
        # It is in no list any more; the next run of a job removes the rest.
        _log.warning("a manifest could not be removed yet", point=point.vault_point, reason=error.message)


def remove_manifests(engine: Engine, repository_id: UUID) -> None:
    """Remove the manifests that nothing in the catalog names any more. Raises VaultError."""
    with engine.database.read() as connection:
        left = manifests.expired(connection, repository_id)
    for name in left:
        try:
            engine.vault(repository_id).delete_point(name)
        except PointLocked:
            continue  # until a later run
        with engine.database.write() as connection:
            manifests.removed(connection, repository_id, name)
