"""States of a task: an action of the API that outlives its request."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    RUNNING = "Running"
    OPERATION_FINISHED = "OperationFinished"
    FINISHED = "Finished"
