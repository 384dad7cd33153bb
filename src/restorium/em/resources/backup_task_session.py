"""Backup task sessions: one VM in one run of a job."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.catalog import job_sessions
from restorium.catalog.listing import Row
from restorium.em.call import View
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Form, element, field, related, up
from restorium.em.roles import MONITORS
from restorium.em.values import LONG, TEXT, uid
from restorium.vocabulary.hierarchy import HierarchyRef
from restorium.vocabulary.sessions import SessionResult, TaskSessionState


def _vm(row: Row, _view: View) -> str:
    return str(HierarchyRef(row.platform, "Vm", row.host_id, row.vm_ref))


def _reason(row: Row, _view: View) -> str:
    """Empty where nothing went wrong: clients print it as it is."""
    return row.reason or ""


class BackupTaskSession(Entity, plural="BackupTaskSessions", path="backupTaskSessions", vm_bound=True):
    """What happened to one VM."""

    roles = MONITORS
    rows = job_sessions.task_listing
    links = (
        BACKUP_SERVER,
        up("BackupJobSession", "job_session"),
        Alternate(),
        related("VmRestorePoint", "vm_restore_point", form=Form.ENTITY, only=Form.ENTITY),
    )
    fields = (field("JobUid", "job_id", uid("Job")), field("JobName", "job_name", TEXT))

    job_session_id: UUID = element("JobSessionUid", query="JobSessionUid", codec=uid("BackupJobSession"))
    created_at: datetime = element("CreationTimeUTC", query="CreationTime")
    ended_at: datetime | None = element("EndTimeUTC", query="EndTime")
    state: TaskSessionState = element("State", query="State")
    result: SessionResult = element("Result", query="Result")
    reason: str | None = element("Reason", query="Reason", value=_reason)
    total_bytes: int = element("TotalSize", query="TotalSize", codec=LONG)
    vm_ref: str = element("VmUid", value=_vm)
