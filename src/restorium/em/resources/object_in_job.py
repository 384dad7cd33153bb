"""What jobs include, as the query service brings it together."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from restorium.catalog import job_objects
from restorium.catalog.listing import Row
from restorium.em.documents import Resource
from restorium.em.members import Queryable
from restorium.em.parts import part
from restorium.em.resources.job_object import OBJECT, OBJECTS, document
from restorium.em.roles import ADMINISTRATORS
from restorium.em.values import TEXT, uid
from restorium.vocabulary.hierarchy import Platform


class _Job(NamedTuple):
    id: UUID
    name: str
    platform: Platform


def _shown(row: Row, base: str) -> Resource:
    job: Any = _Job(row.job_id, row.job_name, row.platform)
    return document(job, row, base, linked=True)


part(
    "ObjectInJob",
    "ObjectsInJob",
    roles=ADMINISTRATORS,
    fields=(
        Queryable("UID", "uid", TEXT),
        Queryable("Name", "name", TEXT),
        Queryable("JobUid", "job_id", uid("Job")),
        Queryable("JobName", "job_name", TEXT),
        Queryable("BackupServerUid", "backup_server_id", uid("BackupServer")),
        Queryable("BackupServerName", "backup_server_name", TEXT),
    ),
    rows=job_objects.listing,
    shown=_shown,
    shape=OBJECT,
    key=OBJECTS.key,
)
