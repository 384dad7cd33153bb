"""Repositories: where restore points are kept. The key is sealed by ``flows`` before it comes here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, servers
from restorium.catalog.listing import Listing, Row, columns_of
from restorium.catalog.surroundings import now
from restorium.catalog.tables import (
    backup_files,
    backups,
    jobs,
    repositories,
    restore_points,
    vm_restore_points,
)
from restorium.catalog.types import Instant
from restorium.vocabulary.errors import Conflict

_KIND = "repository"
_DAY = 86_400_000_000
"""In microseconds, in which instants are kept."""


def add(
    connection: Connection,
    *,
    name: str,
    url: str,
    kind: str,
    secret: bytes,
    quota_bytes: int | None = None,
    capacity_bytes: int = -1,
    free_bytes: int = -1,
    repository_id: UUID | None = None,
) -> Row:
    """Add a repository; sizes in bytes, -1 where unknown.

    repository_id: an id that the caller has already bound into ``secret``; a new one if None.
    Raises InvalidInput for its name, Conflict if that is taken.
    """
    values: dict[str, object] = {
        "name": rows.named(_KIND, name),
        "url": url,
        "kind": kind,
        "secret": secret,
        "quota_bytes": quota_bytes,
        "capacity_bytes": capacity_bytes,
        "free_bytes": free_bytes,
    }
    if repository_id is not None:
        values["id"] = repository_id
    return rows.add(connection, repositories, _KIND, values)


def check_name(connection: Connection, name: str) -> None:
    """Raises InvalidInput for a bad name, Conflict for one that is taken."""
    rows.check_free(connection, repositories, _KIND, name)


def get(connection: Connection, repository_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, repositories, _KIND, repository_id)


def list_all(connection: Connection) -> Sequence[Row]:
    """All repositories by name."""
    return connection.execute(sa.select(repositories).order_by(repositories.c.name)).all()


def record_usage(
    connection: Connection, repository_id: UUID, *, capacity_bytes: int, free_bytes: int
) -> None:
    """Note what the storage last said of itself."""
    connection.execute(
        sa.update(repositories)
        .where(repositories.c.id == repository_id)
        .values(capacity_bytes=capacity_bytes, free_bytes=free_bytes)
    )


def added_by_day(connection: Connection, repository_id: UUID) -> Sequence[Row]:
    """What the restore points that there are added on each ``day`` (its beginning, UTC): ``bytes``, and ``points``."""
    instant = sa.type_coerce(backup_files.c.created_at, sa.BigInteger)
    day = sa.type_coerce(instant - instant % _DAY, Instant).label("day")
    return connection.execute(
        sa.select(
            day, sa.func.sum(backup_files.c.backup_size).label("bytes"), sa.func.count().label("points")
        )
        .where(backup_files.c.repository_id == repository_id)
        .group_by(day)
        .order_by(day)
    ).all()


def last_verified(connection: Connection, repository_id: UUID) -> Row:
    """``verified_at``, the last verification that came to one of its restore points, and ``damaged`` points."""
    return connection.execute(
        sa.select(
            sa.func.max(vm_restore_points.c.verified_at, type_=Instant).label("verified_at"),
            sa.func.count(vm_restore_points.c.verify_problem).label("damaged"),
        )
        .join(backup_files, backup_files.c.id == vm_restore_points.c.backup_file_id)
        .where(backup_files.c.repository_id == repository_id)
    ).one()


def due_for_prune(connection: Connection, interval: timedelta) -> Sequence[Row]:
    """Repositories whose last prune, or without one whose making, is longer ago than that."""
    return connection.execute(sa.select(repositories).where(_due(connection, interval))).all()


def begin_prune(connection: Connection, repository_id: UUID, interval: timedelta) -> bool:
    """Note that a prune begins; False if the last was not so long ago."""
    begun = connection.execute(
        sa.update(repositories)
        .where(repositories.c.id == repository_id, _due(connection, interval))
        .values(prune_began_at=now(connection))
    )
    return begun.rowcount == 1


def set_secret(connection: Connection, repository_id: UUID, secret: bytes) -> None:
    """Note the sealed key that opens it from now on."""
    connection.execute(
        sa.update(repositories).where(repositories.c.id == repository_id).values(secret=secret)
    )


def end_prune(connection: Connection, repository_id: UUID, outcome: str) -> None:
    """Note what came of a prune."""
    connection.execute(
        sa.update(repositories).where(repositories.c.id == repository_id).values(prune_outcome=outcome)
    )


def _due(connection: Connection, interval: timedelta) -> sa.ColumnElement[bool]:
    last = sa.func.coalesce(repositories.c.prune_began_at, repositories.c.created_at, type_=Instant)
    return last <= sa.literal(now(connection) - interval, Instant)


def remove(connection: Connection, repository_id: UUID) -> None:
    """Forget a repository; its data stays where it is.

    Raises NotFound, and Conflict while a job uses it or it holds restore points.
    """
    repository = rows.locked(connection, repositories, _KIND, repository_id)
    job = connection.execute(
        sa.select(jobs.c.name).where(jobs.c.repository_id == repository_id).order_by(jobs.c.name)
    ).first()
    if job is not None:
        raise Conflict(
            f"job {job.name!r} backs up to repository {repository.name!r}", hint="Remove the job first."
        )
    held = sa.select(restore_points.c.backup_id)
    emptied = sa.and_(backups.c.repository_id == repository_id, backups.c.id.not_in(held))
    connection.execute(sa.delete(backups).where(emptied))
    if rows.exists(connection, backups.c.repository_id == repository_id):
        raise Conflict(
            f"repository {repository.name!r} holds restore points",
            hint="A repository stays as long as there is something in it to restore.",
        )
    rows.remove(connection, repositories, _KIND, repository_id)


listing = Listing(columns_of(repositories, without={"secret"}) | servers.PARENT, servers.joined(repositories))
