"""The scheduler: starts the runs that are due, and stops those that leave their backup window.

It has no state and no thread of its own. Each beat of an engine asks the catalog, when it starts and every two seconds
from then on; what was missed while no engine ran is started by the first beat.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from restorium.catalog import drill_plans, job_sessions, schedules
from restorium.flows import backup, drills
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import IllegalTransition, NotFound

_log = structlog.get_logger(__name__)


class Scheduler:
    """What the engine's beat calls beside the kinds of sessions."""

    def reconcile(self, engine: Engine) -> None:
        """Start what is due, once each; stop what has outlived its window."""
        with engine.database.read() as connection:
            due = schedules.due(connection)
            due_drills = schedules.due(connection, drill_plans.TABLE)
            closed_out = schedules.closed_out(connection)
        for start, rows in ((backup.start_due, due), (drills.start_due, due_drills)):
            for row in rows:
                try:
                    start(engine, row)
                except Exception as error:  # noqa: BLE001  one's trouble is not another's
                    _log.warning("a run is due and could not be started", of=row.name, error=repr(error))
        for session_id in closed_out:
            _close_out(engine, session_id)


def _close_out(engine: Engine, session_id: UUID) -> None:
    try:
        backup.cancel(engine, session_id)
    except (IllegalTransition, NotFound):
        return  # it has ended meanwhile
    with engine.database.write() as connection:
        told = "The backup window has closed, so the run is being stopped."
        job_sessions.add_event(connection, session_id, "warning", told)


Engine.register(Scheduler())
