"""What a job includes, one VM each, and the lists of what jobs of other kinds are linked to, which are empty here."""

from __future__ import annotations

from uuid import UUID

from restorium.catalog import jobs
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Link, Resource
from restorium.em.entity import entity
from restorium.em.reading import row_of
from restorium.em.roles import ADMINISTRATORS
from restorium.em.routing import Handler, Route, Serves
from restorium.em.shapes import Child, Gives, Listed, Shape, addressed
from restorium.em.tasks import STARTED, Started
from restorium.em.values import GUID, TEXT
from restorium.flows import jobs as flows
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from restorium.vocabulary.hierarchy import HierarchyRef
from restorium.vocabulary.ids import parse_guid

BODY = Spec(
    "CreateObjectInJobSpec",
    (
        Field("HierarchyObjRef", lambda value: HierarchyRef.parse(value.strip())),
        Field("HierarchyObjName", text),
        Field("Order", None),
        Field("GuestProcessingOptions", Spec("GuestProcessingOptions")),
    ),
)

OBJECT = Shape(
    "ObjectInJob",
    addressed("ObjectInJob"),
    (
        Child("ObjectInJobId", GUID),
        Child("HierarchyObjRef", TEXT),
        Child("Name", TEXT),
        Child("DisplayName", TEXT),
    ),
    links=True,
)
OBJECTS = Listed("ObjectsInJob", (OBJECT,), key="ObjectInJobs", type="ObjectInJobListType")
"""In JSON under a name that is not the element's, as clients read it."""


def listed(_call: Call, view: View, job: Row) -> Answer:
    """The document of what a job includes."""
    return Answer(200, OBJECTS.made(shown(job, view, linked=True)))


def shown(job: Row, view: View, *, linked: bool) -> list[Resource]:
    """What a job includes; with links where it stands by itself."""
    return [document(job, vm, view.base, linked=linked) for vm in jobs.objects(view.connection, job.id)]


def add(call: Call, job: Row) -> Answer:
    """Include one more VM."""
    asked = call.body or {}
    ref: HierarchyRef | None = asked.get("HierarchyObjRef")
    if ref is None:
        raise InvalidInput(f"HierarchyObjRef is missing in {BODY.name}")
    if (ref.kind.lower(), ref.platform) != ("vm", job.platform):
        raise Unsupported(f"{ref} is no VM of {job.platform}", hint="Include single VMs.")

    def start() -> Started:
        flows.add_vm(call.engine, job.id, ref.root, ref.ref)
        return _updated(job, "The object has been included")

    return tasks.run(call, "UpdateJob", start)


def _one(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        job = row_of(call, entity("Job"), connection)
        wanted = _object_id(call)
        for vm in jobs.objects(connection, job.id):
            if vm.id == wanted:
                return Answer(200, document(job, vm, call.base, linked=True))
    raise NotFound(f"job {job.name!r} has no object {wanted}")


def _remove(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        job = row_of(call, entity("Job"), connection)

    def start() -> Started:
        flows.remove_vm(call.engine, job.id, _object_id(call))
        return _updated(job, "The object is not included any more")

    return tasks.run(call, "UpdateJob", start)


def _object_id(call: Call) -> UUID:
    return parse_guid(call.ids[1])


def _updated(job: Row, message: str) -> Started:
    return Started("Job", job.id, job.name, message)


def document(job: Row, vm: Row, base: str, *, linked: bool) -> Resource:
    """One object of a job; with links where it stands by itself."""
    above = entity("Job").href(base, job.id)
    href = f"{above}/includes/{vm.id}"
    links = [Link("Up", above, job.name, "JobReference"), Link("Delete", href)] if linked else None
    return OBJECT.made(
        links,
        Href=href,
        ObjectInJobId=vm.id,
        HierarchyObjRef=HierarchyRef(job.platform, "Vm", vm.host_id, vm.vm_ref),
        Name=vm.vm_name,
        DisplayName=vm.vm_name,
    )


def _nothing(listed: Listed) -> Handler:
    def serve(call: Call) -> Answer:
        with call.engine.database.read() as connection:
            row_of(call, entity("Job"), connection)
        return Answer(200, listed.made(()))

    return serve


def _refuse(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        row_of(call, entity("Job"), connection)
    action = call.request.parameter("action")
    asked = f"{call.request.method} {call.request.path}" + (f"?action={action}" if action else "")
    raise Unsupported(f"{asked} is for backup copy jobs, and this server has none")


_JOB = "/jobs/{ID}"
_LINKED = {
    "linkedJobs": Listed("LinkedJobResourceObjects", ()),
    "linkedBackupRepositories": Listed("LinkedBackupRepositoryResourceObjects", ()),
}
ROUTES = (
    Route("GET", f"{_JOB}/includes/{{ID}}", ADMINISTRATORS, _one, gives=(Gives(200, OBJECT),)),
    Route("DELETE", f"{_JOB}/includes/{{ID}}", ADMINISTRATORS, _remove, gives=STARTED),
    Route("POST", _JOB, ADMINISTRATORS, _refuse, "sync", serves=Serves.REFUSAL),
    *(
        Route(
            "GET",
            f"{_JOB}/{path}",
            ADMINISTRATORS,
            _nothing(listed),
            gives=(Gives(200, listed),),
            serves=Serves.NOTHING,
        )
        for path, listed in _LINKED.items()
    ),
    *(Route("POST", f"{_JOB}/{path}", ADMINISTRATORS, _refuse, serves=Serves.REFUSAL) for path in _LINKED),
    *(
        Route("DELETE", f"{_JOB}/{path}/{{ID}}", ADMINISTRATORS, _refuse, serves=Serves.REFUSAL)
        for path in _LINKED
    ),
)
