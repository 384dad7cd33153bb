"""States and results of sessions, and the one machine that moves a session between them.

    Starting ──► Working ──► Stopping ──► Stopped
        │           │                        ▲
        └───────────┴────────────────────────┘

A request to cancel moves a session that is Working to Stopping at once, whoever works on it; Stopped is reached
when what was written is taken back. A result is None until the session is Stopped and never changes
afterwards. Enumerations are written in the order in which the API documents them: that order is what ``<``
means in a query.
"""

from __future__ import annotations

from enum import StrEnum

from restorium.vocabulary.errors import IllegalTransition


class SessionState(StrEnum):
    STARTING = "Starting"
    STOPPING = "Stopping"
    WORKING = "Working"
    STOPPED = "Stopped"


class SessionResult(StrEnum):
    """``NONE`` is what the wire says of a session that has not ended."""

    NONE = "None"
    SUCCESS = "Success"
    WARNING = "Warning"
    FAILED = "Failed"


class TaskSessionState(StrEnum):
    """States of the part of a job session that deals with one VM."""

    IN_PROGRESS = "InProgress"
    PENDING = "Pending"
    COMPLETED = "Completed"


class RestoreKind(StrEnum):
    """JobType of a restore session."""

    FILE_LEVEL = "FileLevelRestore"
    VM = "RestoreVm"


class RestorePhase(StrEnum):
    """What a restore is doing, in order; finer than its state and shown by the native API alone.

    Files are restored from a mount, which is the one phase of theirs between ``queued`` and ``done``. A VM that runs at
    once goes through mounted (its disks are served), started and moving between ``preflight`` and ``finalising``.
    """

    QUEUED = "queued"
    PREFLIGHT = "preflight"
    CREATING_TARGET = "creating-target"
    COPYING = "copying"
    VERIFYING = "verifying"
    FINALISING = "finalising"
    DONE = "done"
    MOUNTED = "mounted"
    STARTED = "started"
    MOVING = "moving"


_NEXT: dict[SessionState, frozenset[SessionState]] = {
    SessionState.STARTING: frozenset({SessionState.WORKING, SessionState.STOPPING, SessionState.STOPPED}),
    SessionState.WORKING: frozenset({SessionState.STOPPING, SessionState.STOPPED}),
    SessionState.STOPPING: frozenset({SessionState.STOPPED}),
    SessionState.STOPPED: frozenset(),
}


def predecessors(target: SessionState) -> frozenset[SessionState]:
    """States from which ``target`` may be entered: what a guarded UPDATE compares with."""
    return frozenset(state for state, successors in _NEXT.items() if target in successors)


def check_transition(current: SessionState, target: SessionState, result: SessionResult) -> None:
    """Raise IllegalTransition unless ``current`` leads to ``target`` with ``result``.

    A result other than None belongs to Stopped and to nothing else.
    """
    if target not in _NEXT[current]:
        raise IllegalTransition(f"a session that is {current} cannot become {target}")
    if (target is SessionState.STOPPED) == (result is SessionResult.NONE):
        raise IllegalTransition(f"a session that becomes {target} cannot have the result {result}")


def progress_percent(done: int, planned: int, *, finished: bool) -> int:
    """Completed over planned bytes as a whole percentage; 100 only once verified and finalised."""
    if finished:
        return 100
    if planned <= 0:
        return 0
    return min(99, max(0, done) * 100 // planned)
