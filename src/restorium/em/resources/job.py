"""Jobs, running them, changing them and removing them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.catalog import job_sessions, jobs
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Resource
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Do, Down, Form, element
from restorium.em.reading import row_of
from restorium.em.resources import job_edit, job_object, job_retention, job_schedule
from restorium.em.roles import ADMINISTRATORS
from restorium.em.routing import Route
from restorium.em.shapes import Child, Gives, Listed, Shape
from restorium.em.tasks import STARTED, Started
from restorium.flows import backup
from restorium.flows import jobs as flows
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.errors import Conflict, InvalidInput
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.ids import parse_uid

_CLONE = Spec(
    "JobCloneSpec",
    (
        Field(
            "BackupJobCloneInfo",
            Spec(
                "BackupJobCloneInfo",
                (
                    Field("JobName", text),
                    Field("FolderName", text),
                    Field("RepositoryUid", lambda value: parse_uid(value.strip(), "Repository")),
                    Field("Description", str),
                ),
            ),
        ),
    ),
    one_of=True,
)

_INCLUDES = Listed("Includes", (job_object.OBJECT,), key=job_object.OBJECTS.key, type="ObjectInJobListType")
_BACKUP_INFO = Shape("BackupJobInfo", members=(Child("Includes", _INCLUDES), *job_retention.MEMBERS))
_INFO = Shape("JobInfo", members=(Child("BackupJobInfo", _BACKUP_INFO),))


def _start(call: Call, job: Row) -> Answer:
    def start() -> Started:
        return _run(call, backup.start(call.engine, job.id, call.caller), "Job has been started")

    return tasks.run(call, "StartJob", start)


def _retry(call: Call, job: Row) -> Answer:
    def start() -> Started:
        session_id = backup.start(call.engine, job.id, call.caller, retry=True)
        return _run(call, session_id, "Job is being retried")

    return tasks.run(call, "RetryJob", start)


def _stop(call: Call, job: Row) -> Answer:
    def start() -> Started:
        with call.engine.database.read() as connection:
            session = job_sessions.running(connection, job.id)
        if session is None:
            raise Conflict(f"job {job.name!r} is not running")
        backup.cancel(call.engine, session.id)
        return _run(call, session.id, "Job is being stopped")

    return tasks.run(call, "StopJob", start)


def _run(call: Call, session_id: UUID, message: str) -> Started:
    with call.engine.database.read() as connection:
        name = job_sessions.get(connection, session_id).name
    return Started("BackupJobSession", session_id, name, message)


def _toggle(call: Call, job: Row) -> Answer:
    def start() -> Started:
        enabled = flows.toggle_schedule(call.engine, job.id)
        return Started("Job", job.id, job.name, f"Schedule is {'enabled' if enabled else 'disabled'}")

    return tasks.run(call, "UpdateJob", start)


def _clone(call: Call, job: Row) -> Answer:
    asked = (call.body or {}).get("BackupJobCloneInfo", {})
    for required in ("JobName", "RepositoryUid"):
        if required not in asked:
            raise InvalidInput(f"{required} is missing in BackupJobCloneInfo")

    def start() -> Started:
        name = asked["JobName"]
        made_id = flows.clone(call.engine, job.id, name, asked["RepositoryUid"], asked.get("Description"))
        return Started("Job", made_id, name, "Job has been cloned")

    return tasks.run(call, "CloneJob", start)


def _delete(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        job = row_of(call, Job, connection)

    def start() -> Started:
        flows.remove(call.engine, job.id)
        return Started(None, None, None, "Job has been deleted")

    return tasks.run(call, "DeleteJob", start)


def _edit(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        job = row_of(call, Job, connection)
    return job_edit.edit(call, job)


def _job_info(job: Row, view: View) -> Resource:
    includes = _INCLUDES.made(job_object.shown(job, view, linked=False))
    info = _BACKUP_INFO.made(Includes=includes, **job_retention.shown(job))
    return _INFO.made(BackupJobInfo=info)


class Job(Entity, plural="Jobs", path="jobs"):
    """Which VMs are backed up to which repository, and when."""

    roles = ADMINISTRATORS
    rows = jobs.listing
    links = (
        BACKUP_SERVER,
        Alternate(),
        Do(
            "Edit",
            "PUT",
            type="JobReference",
            named=True,
            roles=ADMINISTRATORS,
            run=job_edit.edit,
            gives=STARTED,
            body=job_edit.BODY,
        ),
        Do("Clone", "POST", action="clone", roles=ADMINISTRATORS, run=_clone, gives=STARTED, body=_CLONE),
        Do(
            "ToggleScheduleEnabled",
            "POST",
            action="toggleScheduleEnabled",
            roles=ADMINISTRATORS,
            run=_toggle,
            gives=STARTED,
        ),
        Down(
            "includes",
            None,
            type="ObjectInJobList",
            only=Form.ENTITY,
            serve=job_object.listed,
            gives=(Gives(200, job_object.OBJECTS),),
        ),
        Down("backupSessions", "BackupJobSession", column="job_id"),
        Do(
            "Create",
            "POST",
            path="/includes",
            type="ObjectInJob",
            roles=ADMINISTRATORS,
            run=job_object.add,
            gives=STARTED,
            body=job_object.BODY,
        ),
        Do("Start", "POST", action="start", roles=ADMINISTRATORS, run=_start, gives=STARTED),
        Do("Stop", "POST", action="stop", roles=ADMINISTRATORS, run=_stop, gives=STARTED),
        Do("Retry", "POST", action="retry", roles=ADMINISTRATORS, run=_retry, gives=STARTED),
    )

    job_type: JobType = element("JobType", query="JobType")
    platform: Platform = element("Platform", query="Platform")
    description: str = element("Description", query="Description")
    schedule_configured: bool = element("ScheduleConfigured", query="ScheduleConfigured")
    schedule_enabled: bool = element("ScheduleEnabled", query="ScheduleEnabled")
    next_run: datetime | None = element("NextRun", query="NextRun")
    schedule: Resource = element("JobScheduleOptions", value=job_schedule.shown, shape=job_schedule.OPTIONS)
    info: Resource = element("JobInfo", value=_job_info, shape=_INFO)


ROUTES = (
    Route("DELETE", "/jobs/{ID}", ADMINISTRATORS, _delete, gives=STARTED),
    Route("PUT", "/jobs/{ID}", ADMINISTRATORS, _edit, "edit", gives=STARTED, body=job_edit.BODY),
)
