"""Workers: the processes that carry flows, each with a heartbeat."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import workers


def beat(connection: Connection, worker_id: str, host_name: str, pid: int) -> None:
    """Say that a worker is alive, by one more beat; the first under this process id is its start."""
    at = now(connection)
    beating = (
        sa.update(workers)
        .where(workers.c.id == worker_id, workers.c.host_name == host_name, workers.c.pid == pid)
        .values(seen_at=at, beats=workers.c.beats + 1)
    )
    if connection.execute(beating).rowcount:
        return
    remove(connection, worker_id)
    connection.execute(
        sa.insert(workers).values(
            id=worker_id, host_name=host_name, pid=pid, started_at=at, seen_at=at, beats=1
        )
    )


def list_all(connection: Connection) -> Sequence[Row]:
    """All workers, the one that started first at the front.

    ``seen_at`` is for people: clocks jump, so whether a worker is alive is told by its ``beats`` (flows.pulse).
    """
    return connection.execute(sa.select(workers).order_by(workers.c.started_at, workers.c.id)).all()


def remove(connection: Connection, worker_id: str) -> None:
    """Forget a worker that has stopped."""
    connection.execute(sa.delete(workers).where(workers.c.id == worker_id))
