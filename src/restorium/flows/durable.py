"""The durable engine behind the flows, and the rules by which the flows use it.

- Arguments and outcomes are JSON; nothing is ever unpickled.
- A step records its failure as a value. So a flow that is replayed after a crash fails in the same way as
  before.
- A stop of the process unwinds a flow with Interrupted, which the engine does not record: the flow stays
  pending and the next start takes it up again.
- All flows share one queue, partitioned by repository, so that a limit for each repository holds over all
  kinds.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from collections.abc import Callable, Container, Iterable
from contextvars import Context
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, Serializer, SetEnqueueOptions, SetWorkflowID

from restorium.vocabulary.errors import RestoriumError

_log = structlog.get_logger(__name__)

T = TypeVar("T")
FlowFunction = Callable[[str], None]

_APPLICATION = "restorium"
_QUEUE = "flows"
_QUEUE_POLL_SECONDS = 0.4
"""A look takes 2 ms of processor time, so that an idle server spends under a hundredth of a core on it."""
_LISTENER_SECONDS = 0.5
"""Of a listener that has nothing to listen for; a stop waits for it."""
_CONNECTIONS = 8
_VERSION = "1"
"""Of the flows' shape.

A restart with newer code must take up what older code began, so it is not the code's hash.
"""
_FINISHED = ("SUCCESS", "ERROR", "CANCELLED")
_UNFINISHED = ("ENQUEUED", "PENDING", "DELAYED")


class Interrupted(BaseException):
    """The process is stopping. Not an Exception, so that nothing on the way records it as a failure."""


class StepFailed(Exception):
    """A step's recorded failure. ``code``, ``message`` and ``hint`` are those of the error it raised."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "hint": self.hint}

    @classmethod
    def of(cls, error: Exception) -> StepFailed:
        """What is recorded of ``error``. One that nobody expected is logged with its trace."""
        if isinstance(error, RestoriumError):
            return cls(error.code, error.message, error.hint)
        trace = "".join(traceback.format_exception(error))
        _log.error("a step failed unexpectedly", error=repr(error), trace=trace)
        message = f"internal error: {type(error).__name__}: {error}"
        return cls(RestoriumError.code, message, RestoriumError.default_hint)


class _Json(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=repr)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805  the library's own spelling
        return json.loads(serialized_data)

    def name(self) -> str:
        return "restorium-json"


def flow(name: str, function: FlowFunction) -> FlowFunction:
    """Make ``function``, which takes a flow's id, known under ``name``, before ``launch``.

    A flow is taken up again after any number of crashes.
    """

    def run(flow_id: str) -> None:  # the library marks what it is given, which a method does not let it
        function(flow_id)

    made: FlowFunction = DBOS.workflow(name=name, max_recovery_attempts=None)(run)
    return made


def step(name: str, function: Callable[[], T]) -> T:
    """Run ``function`` once for this flow, or give what it gave before the crash. Its value must be JSON.

    Raises StepFailed for whatever it raised.
    """
    outcome: dict[str, Any] = DBOS.run_step({"name": name}, _recorded, function)
    if "error" in outcome:
        raise StepFailed(**outcome["error"])
    value: T = outcome["value"]
    return value


def _recorded(function: Callable[[], T]) -> dict[str, Any]:
    try:
        return {"value": function()}
    except Exception as error:  # noqa: BLE001  a bug must end the session as Failed, not leave it Working
        return {"error": StepFailed.of(error).as_json()}


def launch(*, database_url: str, executor_id: str, per_partition: int) -> None:
    """Start the engine in this process; flows that this executor left pending are taken up again.

    database_url: SQLAlchemy URL, SQLite or PostgreSQL, where the engine keeps tables of its own in the schema
    ``dbos``. executor_id: the same after a restart, unique among processes. per_partition: how many flows run
    at once for one repository.
    """
    if database_url.startswith("sqlite:///"):
        _set_write_ahead_log(Path(database_url.removeprefix("sqlite:///")))
    # With a handler of its own, the library's log goes where the program's goes.
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    _register_queue(database_url, per_partition)
    config: DBOSConfig = {
        "name": _APPLICATION,
        "system_database_url": database_url,
        "sys_db_pool_size": _CONNECTIONS,
        "executor_id": executor_id,
        "application_version": _VERSION,
        "serializer": _Json(),
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": _LISTENER_SECONDS,
    }
    DBOS(config=config)
    DBOS.launch()


def shut_down() -> None:
    """Stop the engine. Flows have unwound with Interrupted, or go on from their last step later."""
    DBOS.destroy()


def enqueue(function: FlowFunction, flow_id: UUID, *, partition: UUID) -> None:
    """Put a flow on the queue. Repeating it changes nothing: ``flow_id`` runs once."""

    def put() -> None:
        with SetWorkflowID(str(flow_id)), SetEnqueueOptions(queue_partition_key=str(partition)):
            DBOS.enqueue_workflow(_QUEUE, function, str(flow_id))

    # A step may ask for another flow, which is not its flow's child: the library would refuse that.
    Context().run(put)


def unfinished(flow_ids: Iterable[UUID]) -> dict[UUID, bool]:
    """For each flow that the engine knows: whether it is still to run or running."""
    found = DBOS.list_workflows(
        workflow_ids=[str(flow_id) for flow_id in flow_ids], load_input=False, load_output=False
    )
    return {UUID(known.workflow_id): known.status in _UNFINISHED for known in found}


def take_over(alive: Container[str]) -> list[UUID]:
    """Put flows back on the queue whose executor is not ``alive``; gives their ids."""
    begun = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    left = [known.workflow_id for known in begun if known.executor_id not in alive]
    for flow_id in left:
        # The queue is named anew, or the flow would escape the limit for each repository.
        DBOS.resume_workflow(flow_id, queue_name=_QUEUE)
    return [UUID(flow_id) for flow_id in left]


def hasten(flow_ids: Iterable[UUID]) -> None:
    """Run those of the flows at once that wait in the queue, whatever its limit; for what only has to be ended."""
    waiting = DBOS.list_workflows(
        workflow_ids=[str(flow_id) for flow_id in flow_ids],
        status="ENQUEUED",
        queue_name=_QUEUE,
        load_input=False,
        load_output=False,
    )
    for known in waiting:
        DBOS.resume_workflow(known.workflow_id)


def forget(before: datetime, most: int) -> int:
    """Delete the records of flows that ended before then, ``most`` of them at the most; gives how many."""
    ended = DBOS.list_workflows(
        status=list(_FINISHED),
        completed_before=before.isoformat(),
        limit=most,
        load_input=False,
        load_output=False,
    )
    if ended:
        DBOS.delete_workflows([known.workflow_id for known in ended])
    return len(ended)


def _register_queue(database_url: str, per_partition: int) -> None:
    """Before the launch, for a running engine looks for new queues and changed limits only at times."""
    DBOS.migrate(database_url)
    client = DBOSClient(system_database_url=database_url, application_name=_APPLICATION)
    try:
        client.register_queue(
            _QUEUE, partition_concurrency=per_partition, polling_interval_sec=_QUEUE_POLL_SECONDS
        )
    finally:
        client.destroy()


def _set_write_ahead_log(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
