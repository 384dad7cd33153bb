"""Backup job sessions: one run of a job each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.catalog import job_sessions
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.call import Answer, Call
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Do, Down, Form, element, related, up
from restorium.em.roles import ADMINISTRATORS, MONITORS
from restorium.em.tasks import STARTED, Started
from restorium.em.values import uid
from restorium.flows import backup
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.sessions import SessionResult, SessionState


def _stop(call: Call, session: Row) -> Answer:
    def stop() -> Started:
        backup.cancel(call.engine, session.id)
        return Started("BackupJobSession", session.id, session.name, "Job session is being stopped")

    return tasks.run(call, "StopJobSession", stop)


class BackupJobSession(Entity, plural="BackupJobSessions", path="backupSessions"):
    """One run of a job, from its start to its end."""

    roles = MONITORS
    rows = job_sessions.listing
    links = (
        BACKUP_SERVER,
        up("Job", "job", query=("JobUid", "JobName")),
        Alternate(),
        Down("taskSessions", "BackupTaskSession", column="job_session_id"),
        Do("Stop", "POST", action="stop", roles=ADMINISTRATORS, run=_stop, gives=STARTED),
        related("RestorePoint", "restore_point", only=Form.ENTITY),
    )
    nulls = ("FailureMessage",)

    job_id: UUID | None = element("JobUid", codec=uid("Job"))
    job_name: str = element("JobName")
    job_type: JobType = element("JobType", query="JobType")
    created_at: datetime = element("CreationTimeUTC", query="CreationTime")
    ended_at: datetime | None = element("EndTimeUTC", query="EndTime")
    state: SessionState = element("State", query="State")
    result: SessionResult = element("Result", query="Result")
    progress: int = element("Progress")
    is_retry: bool = element("IsRetry", query="IsRetry")
