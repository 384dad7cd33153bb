"""Tasks: the asynchronous actions of one logon session, numbered from 1 in each. They end with it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Listing, Row
from restorium.catalog.logons import Logon
from restorium.catalog.surroundings import now
from restorium.catalog.tables import logon_sessions, tasks
from restorium.vocabulary.errors import NotAuthenticated, NotFound
from restorium.vocabulary.tasks import TaskState

_LARGEST = 2**63 - 1


def start(connection: Connection, logon: Logon, operation: str) -> Row:
    """A Running task under the session's next number. Raises NotAuthenticated if the session has ended."""
    number = connection.execute(
        sa.update(logon_sessions)
        .where(logon_sessions.c.token_hash == logon.token_hash)
        .values(last_task=logon_sessions.c.last_task + 1)
        .returning(logon_sessions.c.last_task)
    ).scalar_one_or_none()
    if number is None:
        raise NotAuthenticated("the logon session has ended")
    return connection.execute(
        sa.insert(tasks)
        .values(
            token_hash=logon.token_hash,
            number=number,
            operation=operation,
            state=TaskState.RUNNING,
            created_at=now(connection),
        )
        .returning(*tasks.columns)
    ).one()


def finish(
    connection: Connection,
    logon: Logon,
    number: int,
    *,
    success: bool,
    message: str | None = None,
    related_kind: str | None = None,
    related_id: UUID | None = None,
    related_name: str | None = None,
    related_rel: str | None = None,
    related_path: str | None = None,
) -> Row:
    """Finish a task: its outcome, and what it made or touched, by id or by path.

    Raises NotFound if it has been deleted.
    """
    row = connection.execute(
        sa.update(tasks)
        .where(_is(logon, number))
        .values(
            state=TaskState.FINISHED,
            success=success,
            message=message,
            related_kind=related_kind,
            related_id=related_id,
            related_name=related_name,
            related_rel=related_rel,
            related_path=related_path,
        )
        .returning(*tasks.columns)
    ).one_or_none()
    return _found(row, number)


def get(connection: Connection, logon: Logon, number: int) -> Row:
    """Raises NotFound if this session has no such task."""
    statement = sa.select(tasks).where(_is(logon, number))
    return _found(connection.execute(statement).one_or_none(), number)


def list_all(connection: Connection, logon: Logon) -> Sequence[Row]:
    """The session's tasks by number."""
    return connection.execute(
        sa.select(tasks).where(tasks.c.token_hash == logon.token_hash).order_by(tasks.c.number)
    ).all()


def listing(logon: Logon) -> Listing:
    """The session's tasks as the query service sees them; ``task_id`` is ``task-N``."""
    own = sa.select(tasks).where(tasks.c.token_hash == logon.token_hash).subquery()
    task_id = sa.literal("task-", sa.Text) + sa.cast(own.c.number, sa.Text)
    return Listing({**own.columns, "id": own.c.number, "task_id": task_id}, own)


def delete(connection: Connection, logon: Logon, number: int) -> None:
    """Raises NotFound if this session has no such task."""
    if not connection.execute(sa.delete(tasks).where(_is(logon, number))).rowcount:
        raise NotFound(f"this logon session has no task {number}")


def _is(logon: Logon, number: int) -> sa.ColumnElement[bool]:
    wide = sa.bindparam(None, min(number, _LARGEST), type_=sa.BigInteger, unique=True)
    return sa.and_(tasks.c.token_hash == logon.token_hash, tasks.c.number == wide)


def _found(row: Row | None, number: int) -> Row:
    if row is None:
        raise NotFound(f"this logon session has no task {number}")
    return row
