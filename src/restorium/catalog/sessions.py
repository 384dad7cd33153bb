"""What sessions of all kinds have in common: the guarded move, the wish to cancel, the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows, tables
from restorium.catalog.listing import Compare, Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import session_events
from restorium.vocabulary.errors import IllegalTransition
from restorium.vocabulary.sessions import SessionResult, SessionState, predecessors


class SessionTable:
    """The sessions of one table, as whoever carries them out moves them. kind: what messages call one."""

    def __init__(self, table: sa.Table, kind: str) -> None:
        self._table = table
        self._kind = kind

    def get(self, connection: Connection, session_id: UUID) -> Row:
        """Raises NotFound."""
        return rows.get(connection, self._table, self._kind, session_id)

    def move(
        self,
        connection: Connection,
        session_id: UUID,
        state: SessionState,
        result: SessionResult,
        values: Mapping[str, Any],
    ) -> Row:
        """Move a session to ``state`` and set ``values``, if its present state leads there; else change nothing.

        Raises IllegalTransition, NotFound. Of several that try at once, the database lets one through.
        """
        table = self._table
        if (state is SessionState.STOPPED) == (result is SessionResult.NONE):
            raise IllegalTransition(f"a session that becomes {state} cannot have the result {result}")
        moved = dict(values) | {"state": state, "result": result}
        if state is SessionState.STOPPED:
            moved["ended_at"] = now(connection)
        statement = (
            sa.update(table)
            .where(table.c.id == session_id, table.c.state.in_(predecessors(state)))
            .values(moved)
            .returning(*table.columns)
        )
        row = connection.execute(statement).one_or_none()
        if row is not None:
            return row
        present = self.get(connection, session_id).state
        raise IllegalTransition(f"{self._kind} {session_id} is {present} and cannot become {state}")

    def take(self, connection: Connection, session_id: UUID, hold: str) -> None:
        """Take a session that is not Stopped from whoever has it."""
        connection.execute(
            sa.update(self._table)
            .where(self._table.c.id == session_id, self._table.c.state != SessionState.STOPPED)
            .values(hold=hold)
        )

    def request_cancel(self, connection: Connection, session_id: UUID) -> Row:
        """Ask whoever works on the session to stop, and move it from Working to Stopping; again is no error.

        Raises NotFound, and IllegalTransition once the session is Stopped.
        """
        table, state = self._table, self._table.c.state
        stopping = sa.literal(SessionState.STOPPING, state.type)
        state_then = sa.case((state == SessionState.WORKING, stopping), else_=state)
        statement = (
            sa.update(table)
            .where(table.c.id == session_id, state != SessionState.STOPPED)
            .values(cancel_requested=True, state=state_then)
            .returning(*table.columns)
        )
        row = connection.execute(statement).one_or_none()
        if row is not None:
            return row
        self.get(connection, session_id)
        raise IllegalTransition(f"{self._kind} {session_id} is Stopped and cannot be cancelled")

    def unfinished(self, connection: Connection) -> Sequence[Row]:
        """Sessions that are not Stopped, oldest first."""
        table = self._table
        return connection.execute(
            sa.select(table).where(tables.unfinished(table)).order_by(table.c.created_at, table.c.id)
        ).all()


def open_states() -> Sequence[Compare]:
    """Filters of a listing of sessions, which together keep all that are not Stopped: in the order in which a session
    goes through them, so that who reads one after the other misses none.
    """
    return [
        Compare("state", "==", state)
        for state in (SessionState.STARTING, SessionState.WORKING, SessionState.STOPPING)
    ]


def add_event(connection: Connection, session_id: UUID, level: str, message: str) -> None:
    """Note what happened. level: info, warning or error."""
    connection.execute(
        sa.insert(session_events).values(
            session_id=session_id, at=now(connection), level=level, message=message
        )
    )


def events(connection: Connection, session_id: UUID, *, after: int = 0) -> Sequence[Row]:
    """The session's events in order, those after event ``after``: rows with id, at, level, message."""
    return connection.execute(
        sa.select(session_events)
        .where(session_events.c.session_id == session_id, session_events.c.id > after)
        .order_by(session_events.c.id)
    ).all()
