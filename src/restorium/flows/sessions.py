"""What backup and restore have in common: sessions with flows, and the care that none is without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.engine import Connection

from restorium.catalog.listing import Row
from restorium.flows import durable, webhooks
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import Cancelled, IllegalTransition, RestoriumError
from restorium.vocabulary.sessions import SessionResult, SessionState

_log = structlog.get_logger(__name__)

CANCELLED = Cancelled.code


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ends. All but Success have a reason; ``restore_point_id`` is what a backup made."""

    result: SessionResult = SessionResult.SUCCESS
    reason_code: str | None = None
    reason: str | None = None
    hint: str | None = None
    restore_point_id: UUID | None = None

    @classmethod
    def failed(cls, failure: StepFailed) -> Outcome:
        return cls(SessionResult.FAILED, failure.code, failure.message, failure.hint)


class Rows(Protocol):
    """The catalog's module of one kind of sessions."""

    def get(self, connection: Connection, session_id: UUID) -> Row: ...
    def unfinished(self, connection: Connection) -> Sequence[Row]: ...
    def take(self, connection: Connection, session_id: UUID, hold: str) -> None: ...
    def request_cancel(self, connection: Connection, session_id: UUID) -> Row: ...
    def add_event(self, connection: Connection, session_id: UUID, level: str, message: str) -> None: ...
    def advance(self, connection: Connection, session_id: UUID, state: SessionState) -> Row: ...


class SessionFlows:
    """One kind of sessions and their flows.

    name: of the flow, for good: flows that an earlier release began are found by it. rows: the catalog's
    module. told_as: what webhooks call them. repository_of: the repository that a session works on, whose limit
    its flow obeys. carry_out: does the work in steps, for as long as the session's hold is the one that it is
    given. stop: moves a session to Stopped, with what belongs to it.
    stopped: called after that in the same transaction.
    """

    def __init__(
        self,
        name: str,
        rows: Rows,
        *,
        told_as: webhooks.Kind,
        repository_of: Callable[[Connection, Row], UUID],
        carry_out: Callable[[Engine, UUID, str], Outcome],
        stop: Callable[[Connection, UUID, Outcome], None],
        stopped: Callable[[Engine, Connection, UUID], None] = lambda engine, connection, session_id: None,
    ) -> None:
        self._name = name
        self._rows = rows
        self._told_as = told_as
        self._repository_of = repository_of
        self._carry_out = carry_out
        self._stop = stop
        self._stopped = stopped
        self._flow = durable.flow(name, self._run)
        Engine.register(self)

    def begin(self, engine: Engine, session: Row) -> UUID:
        """Enqueue the flow of a session that nobody has begun; gives its id. What fails is done by a reconcile."""
        session_id: UUID = session.id
        if engine.runs_flows and session.state is SessionState.STARTING:
            try:
                self._enqueue(engine, session)
            except Exception as error:  # noqa: BLE001  the session stands, and the caller has its id
                _log.warning("a flow is enqueued later", session=str(session_id), error=repr(error))
        return session_id

    def cancel(self, engine: Engine, session_id: UUID) -> None:
        """Ask a session to end. One that nobody has begun ends at once, one that waits to go on waits no longer.

        Raises NotFound, and IllegalTransition once it is Stopped.
        """
        with engine.database.write() as connection:
            session = self._rows.request_cancel(connection, session_id)
            self._rows.add_event(connection, session_id, "info", "Cancel was requested.")
            if session.state is SessionState.STARTING:
                failure = StepFailed.of(Cancelled("the session was cancelled before it began"))
                self._close(engine, connection, session_id, Outcome.failed(failure))
        if engine.runs_flows and session.state is SessionState.STOPPING:
            try:
                durable.hasten([session_id])
            except Exception as error:  # noqa: BLE001  the wish is noted, and a reconcile does it
                _log.warning("a flow is hastened later", session=str(session_id), error=repr(error))

    def reconcile(self, engine: Engine) -> None:
        """Enqueue the flows that are missing; close the sessions whose flow is over."""
        with engine.database.read() as connection:
            sessions = self._rows.unfinished(connection)
        running = durable.unfinished([session.id for session in sessions]) if sessions else {}
        for session in sessions:
            if session.id not in running:
                self._enqueue(engine, session)
            elif not running[session.id]:
                failure = StepFailed.of(RestoriumError(f"the {self._name} ended without saying how"))
                self._end(engine, session.id, Outcome.failed(failure))
        stopping = [session.id for session in sessions if session.state is SessionState.STOPPING]
        if stopping:
            durable.hasten(stopping)

    def _enqueue(self, engine: Engine, session: Row) -> None:
        with engine.database.read() as connection:
            repository_id = self._repository_of(connection, session)
        durable.enqueue(self._flow, session.id, partition=repository_id)

    def _run(self, flow_id: str) -> None:
        engine, session_id = Engine.current(), UUID(flow_id)
        # Each time another: a worker that was thought dead may itself be the one that takes its flow up again.
        hold = f"{engine.worker_id} {engine.clock.new_id()}"
        with engine.running():
            if not engine.attempt(lambda: self._take_up(engine, session_id, hold)):
                return
            try:
                outcome = self._carry_out(engine, session_id, hold)
            except StepFailed as failure:
                outcome = Outcome.failed(failure)
            except Exception as error:  # noqa: BLE001  a bug must end the session as Failed, not leave it Working
                outcome = Outcome.failed(StepFailed.of(error))
            engine.step("close", lambda: self._end(engine, session_id, outcome))

    def _take_up(self, engine: Engine, session_id: UUID, hold: str) -> bool:
        """Begin a session or go on with it; False if it has ended. Not a step: it is done at every start."""
        with engine.database.write() as connection:
            session = self._rows.get(connection, session_id)
            if session.state is SessionState.STARTING:
                try:
                    begun = self._rows.advance(connection, session_id, SessionState.WORKING)
                except IllegalTransition:  # cancelled since it was read
                    return False
                webhooks.tell(engine, connection, self._told_as, "started", begun)
                asked = f"The {self._name} asked for by {session.requested_by} began."
                self._rows.add_event(connection, session_id, "info", asked)
            elif session.state is not SessionState.STOPPED:
                again = f"The {self._name} is taken up again after an interruption."
                self._rows.add_event(connection, session_id, "warning", again)
            self._rows.take(connection, session_id, hold)
        return session.state is not SessionState.STOPPED

    def _end(self, engine: Engine, session_id: UUID, outcome: Outcome) -> None:
        with engine.database.write() as connection:
            if self._rows.get(connection, session_id).state is not SessionState.STOPPED:
                self._close(engine, connection, session_id, outcome)

    def _close(self, engine: Engine, connection: Connection, session_id: UUID, outcome: Outcome) -> None:
        self._stop(connection, session_id, outcome)
        # Read after the move, which nothing can come between any more.
        if (
            outcome.result is not SessionResult.FAILED
            and self._rows.get(connection, session_id).cancel_requested
        ):
            late = f"The cancel came too late: what the {self._name} makes was made."
            self._rows.add_event(connection, session_id, "warning", late)
        self._rows.add_event(connection, session_id, *_farewell(self._name, outcome))
        self._stopped(engine, connection, session_id)
        stopped = self._rows.get(connection, session_id)
        webhooks.tell(engine, connection, self._told_as, "stopped", stopped)


def _farewell(name: str, outcome: Outcome) -> tuple[str, str]:
    """Level and message of a session's last event."""
    if outcome.result is SessionResult.SUCCESS:
        return "info", f"The {name} ended with Success."
    level = "warning" if outcome.result is SessionResult.WARNING else "error"
    return level, f"The {name} ended with {outcome.result}: {outcome.reason}"
