"""Restore sessions."""

from __future__ import annotations

from datetime import datetime

from restorium.catalog import restore_sessions
from restorium.catalog.listing import Row
from restorium.em.call import View
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Form, element, related
from restorium.em.roles import EVERYONE
from restorium.vocabulary.hierarchy import HierarchyRef
from restorium.vocabulary.sessions import RestoreKind, SessionResult, SessionState


def _restored(row: Row, _view: View) -> str | None:
    if row.restored_ref is None or row.platform is None:
        return None
    return str(HierarchyRef(row.platform, "Vm", row.target_host_id or row.host_id, row.restored_ref))


class RestoreSession(Entity, plural="RestoreSessions", path="restoreSessions", vm_bound=True):
    """One restore, from its request to its end."""

    roles = EVERYONE
    rows = restore_sessions.listing
    links = (
        BACKUP_SERVER,
        Alternate(),
        related("VmRestorePoint", "vm_restore_point", only=Form.ENTITY),
    )

    job_type: RestoreKind = element("JobType", query="Type")
    created_at: datetime = element("CreationTimeUTC", query="CreationTime")
    ended_at: datetime | None = element("EndTimeUTC", query="EndTime")
    state: SessionState = element("State", query="State")
    result: SessionResult = element("Result", query="Result")
    progress: int = element("Progress")
    restored_ref: str | None = element("RestoredObjRef", value=_restored)
