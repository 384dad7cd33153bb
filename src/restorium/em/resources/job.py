"""Jobs, what they include, and starting one."""

from __future__ import annotations

from datetime import datetime

from restorium.catalog import job_sessions, jobs
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Collection, Link, Resource
from restorium.em.entity import Entity
from restorium.em.members import BACKUP_SERVER, Alternate, Do, Down, Form, element
from restorium.em.roles import ADMINISTRATORS
from restorium.em.tasks import Started
from restorium.flows import backup
from restorium.vocabulary.backups import JobType
from restorium.vocabulary.hierarchy import HierarchyRef, Platform


def _start(call: Call, job: Row) -> Answer:
    def start() -> Started:
        session_id = backup.start(call.engine, job.id, call.caller)
        with call.engine.database.read() as connection:
            name = job_sessions.get(connection, session_id).name
        return Started("BackupJobSession", session_id, name, "Job has been started")

    return tasks.run(call, "StartJob", start)


def _includes(_call: Call, view: View, job: Row) -> Answer:
    return Answer(200, Collection("ObjectsInJob", "ObjectsInJob", _objects(job, view, linked=True)))


def _job_info(job: Row, view: View) -> Resource:
    includes = Collection("Includes", "ObjectsInJob", _objects(job, view, linked=False))
    return Resource(
        "JobInfo", (), [("BackupJobInfo", Resource("BackupJobInfo", (), [("Includes", includes)]))]
    )


def _objects(job: Row, view: View, *, linked: bool) -> list[Resource]:
    above = Job.href(view.base, job.id)
    shown = []
    for vm in jobs.objects(view.connection, job.id):
        href = f"{above}/includes/{vm.id}"
        members = [
            ("ObjectInJobId", str(vm.id)),
            ("HierarchyObjRef", str(HierarchyRef(job.platform, "Vm", vm.host_id, vm.vm_ref))),
            ("Name", vm.vm_name),
            ("DisplayName", vm.vm_name),
        ]
        links = [Link("Up", above, job.name, "JobReference"), Link("Delete", href)] if linked else None
        shown.append(Resource("ObjectInJob", [("Href", href), ("Type", "ObjectInJob")], members, links))
    return shown


class Job(Entity, plural="Jobs", path="jobs"):
    """Which VMs are backed up to which repository."""

    roles = ADMINISTRATORS
    rows = jobs.listing
    links = (
        BACKUP_SERVER,
        Alternate(),
        Do("Edit", "PUT", type="JobReference", named=True, roles=ADMINISTRATORS),
        Do("Clone", "POST", action="clone", roles=ADMINISTRATORS),
        Do("ToggleScheduleEnabled", "POST", action="toggleScheduleEnabled", roles=ADMINISTRATORS),
        Down("includes", None, type="ObjectInJobList", only=Form.ENTITY, serve=_includes),
        Down("backupSessions", "BackupJobSession", column="job_id"),
        Do("Create", "POST", path="/includes", type="ObjectInJob", roles=ADMINISTRATORS),
        Do("Start", "POST", action="start", roles=ADMINISTRATORS, run=_start),
        Do("Stop", "POST", action="stop", roles=ADMINISTRATORS),
        Do("Retry", "POST", action="retry", roles=ADMINISTRATORS),
    )

    job_type: JobType = element("JobType", query="JobType")
    platform: Platform = element("Platform", query="Platform")
    description: str = element("Description", query="Description")
    schedule_configured: bool = element("ScheduleConfigured", query="ScheduleConfigured")
    schedule_enabled: bool = element("ScheduleEnabled", query="ScheduleEnabled")
    next_run: datetime | None = element("NextRun", query="NextRun")
    info: Resource = element("JobInfo", value=_job_info)
