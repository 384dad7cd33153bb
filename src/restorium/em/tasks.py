"""Tasks: what an action answers, to be asked after. They live in one logon session and end with it.

An action that this server offers is done once its flow is started, so a task is finished by the time its client
asks. The first answer still says Running, as clients expect of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from restorium.catalog import tasks
from restorium.catalog.listing import Row
from restorium.em.call import Answer, Call
from restorium.em.documents import Link, Resource
from restorium.em.entity import entity
from restorium.em.errors import refusal, sentence
from restorium.em.members import Form
from restorium.em.roles import EVERYONE
from restorium.em.routing import Route
from restorium.em.shapes import NOTHING, Child, Gives, Listed, Shape, addressed
from restorium.em.values import BOOLEAN, TEXT, enumeration
from restorium.vocabulary.errors import NotFound, RestoriumError
from restorium.vocabulary.tasks import TaskState

_ID = re.compile(r"(?:task-)?(\d{1,12})", re.IGNORECASE | re.ASCII)

_RESULT = Shape(
    "Result",
    (Child("Success", BOOLEAN),),
    (Child("Message", TEXT, required=False),),
    type="TaskResultInfoType",
)
TASK = Shape(
    "Task",
    addressed("Task"),
    (
        Child("TaskId", TEXT),
        Child("State", enumeration(TaskState)),
        Child("Operation", TEXT),
        Child("Result", _RESULT, required=False),
    ),
    links=True,
    nulls=("Result",),
)
TASKS = Listed("Tasks", (TASK,), type="TaskListType")
STARTED = (Gives(202, TASK),)
"""What an action answers."""


@dataclass(frozen=True, slots=True)
class Started:
    """What an operation made or changed: an entity by type, id and name, None if no one, and what to say of it.

    path: where it is below ``/api`` if it is no entity, linked to as ``rel``; ``kind`` is the link's type then. With an
    id both are linked to, the entity first.
    """

    kind: str | None
    id: UUID | None
    name: str | None
    message: str
    rel: str = "Related"
    path: str | None = None


def run(call: Call, operation: str, start: Callable[[], Started]) -> Answer:
    """Answer the task of an operation. If ``start`` raises, the task says why; the request itself succeeds."""
    database = call.engine.database
    with database.write() as connection:
        task = tasks.start(connection, call.logon, operation)
    made = failure = None
    try:
        started = start()
    except RestoriumError as error:
        failure = error.code
        with database.write() as connection:
            tasks.finish(connection, call.logon, task.number, success=False, message=sentence(error))
    else:
        made = started.path if started.id is None else str(started.id)
        with database.write() as connection:
            tasks.finish(
                connection,
                call.logon,
                task.number,
                success=True,
                message=started.message,
                related_kind=started.kind,
                related_id=started.id,
                related_name=started.name,
                related_rel=started.rel,
                related_path=started.path,
            )
    shown = document(call.base, task)
    location = {"Location": str(dict(shown.attributes)["Href"])}
    return Answer(202, shown, location, made=made, failure=failure)


def document(base: str, task: Row) -> Resource:
    """One task. What it is related to comes first among its links: clients take the first."""
    href = f"{base}/tasks/task-{task.number}"
    links = []
    name, kind = task.related_name, task.related_kind
    if task.related_id is not None:
        related = entity(task.related_kind)
        links.append(Link("Related", related.href(base, task.related_id, Form.ENTITY), name, related.type))
        name = kind = None
    if task.related_path is not None:
        links.append(Link(task.related_rel, base + task.related_path, name, kind))
    links.append(Link("Delete", href))
    done = task.state is TaskState.FINISHED
    return TASK.made(
        links,
        Href=href,
        TaskId=f"task-{task.number}",
        State=task.state,
        Operation=task.operation,
        Result=_RESULT.made(Success=task.success, Message=task.message) if done else None,
    )


def _list(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        found = tasks.list_all(connection, call.logon)
    return Answer(200, TASKS.made([document(call.base, task) for task in found]))


def _one(call: Call) -> Answer:
    number = _number(call)
    try:
        with call.engine.database.read() as connection:
            return Answer(200, document(call.base, tasks.get(connection, call.logon, number)))
    except NotFound:
        return _unknown(call)


def _delete(call: Call) -> Answer:
    number = _number(call)
    try:
        with call.engine.database.write() as connection:
            tasks.delete(connection, call.logon, number)
    except NotFound:
        return _unknown(call)
    return Answer(204)


def _number(call: Call) -> int:
    """The task's number; -1, which no task has, for what is no task's id."""
    match = _ID.fullmatch(call.ids[0])
    return int(match[1]) if match else -1


def _unknown(call: Call) -> Answer:
    """The interface's own answer, status and wording included: a client takes it for the end of the task."""
    return refusal(500, f"There is no backup task with id [{call.ids[0]}] in current rest session")


ROUTES = (
    Route("GET", "/tasks", EVERYONE, _list, gives=(Gives(200, TASKS),)),
    Route("GET", "/tasks/{ID}", EVERYONE, _one, gives=(Gives(200, TASK),)),
    Route("DELETE", "/tasks/{ID}", EVERYONE, _delete, gives=NOTHING),
)
