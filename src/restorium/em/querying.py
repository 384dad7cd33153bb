"""The query service: every entity by type, filtered, sorted and paged, and the tasks of the logon session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from restorium.catalog import tasks
from restorium.catalog.listing import Row, Visibility
from restorium.em import query
from restorium.em.call import Answer, Call
from restorium.em.documents import Collection, Link, Resource
from restorium.em.entity import Entity, entities
from restorium.em.members import Form, Queryable
from restorium.em.paging import PARAMETERS, order_of, page_of, paging_info
from restorium.em.parts import Part, parts
from restorium.em.reading import FORMAT, Found, find
from restorium.em.roles import EVERYONE, READERS
from restorium.em.routing import Parameter, Route
from restorium.em.shapes import PAGING, REFERENCES, Child, Gives, Listed, Shape, addressed
from restorium.em.tasks import TASK, TASKS, document
from restorium.em.values import TEXT, enumeration, one_of
from restorium.vocabulary.errors import AccessDenied, InvalidInput
from restorium.vocabulary.roles import Role
from restorium.vocabulary.tasks import TaskState

_SLOTS = (
    "Jobs",
    "FailoverPlans",
    "Backups",
    "Replicas",
    "Repositories",
    "RestorePoints",
    "VmRestorePoints",
    "VAppRestorePoints",
    "VmReplicaPoints",
    "BackupJobSessions",
    "ReplicaJobSessions",
    "ReplicaTaskSessions",
    "RestoreSessions",
    "HierarchyRoots",
    "BackupTaskSessions",
    "BackupServers",
    "ManagedServers",
    "EnterpiseRoles",
    "EnterpiseAccounts",
    "WanAccelerators",
    "CloudGateways",
    "CloudTenants",
    "CloudReplicas",
    "VCloudOrganizationConfigs",
    "BackupFiles",
    "VSphereSelfServiceConfigs",
    "CloudPublicIps",
    "CloudHardwarePlans",
    "CloudVmReplicaPoints",
    "AgentRestorePoints",
    "AgentBackupJob",
    "CloudGatewayPools",
    "CloudFailoverPlans",
    "ExternalRepositories",
    "VlanConfigurations",
    "CloudFailoverSessions",
    "AgentProtectionGroups",
    "DiscoveredComputers",
    "FileServers",
    "NASJobs",
    "CdpReplicas",
    "CdpReplicaVms",
    "CdpPolicies",
    "CdpReplicaSessions",
    "CdpReplicaTaskSessions",
    "VAppReplicaPoints",
    "VmCdpReplicas",
    "VAppCdpReplicas",
    "VAppCdpReplicaVms",
    "SystemSessions",
)
"""Members of a result's Entities in JSON, all there and null but the one asked for. Source: recorded answers."""

_PARTS = ("Refs", "Entities", "Resources", "Links", "PagingInfo")
_REFS = replace(REFERENCES, name="Refs")
_SERVICE = Shape("QuerySvc", addressed("QueryService"), links=True)
_TASK = "Task"
_TASK_FIELDS = {
    field.name.lower(): field
    for field in (
        Queryable("TaskId", "task_id", TEXT),
        Queryable("State", "state", enumeration(TaskState)),
        Queryable("Operation", "operation", TEXT),
    )
}


def _query(call: Call) -> Answer:
    asked = call.request.parameter("type")
    if asked is None:
        raise InvalidInput("the query names no type", hint=f"Write type= and one of {_types()}.")
    known = _known(call)
    kind = known.get(asked.lower())
    if kind is None:
        raise InvalidInput(f"there is no type {asked!r} to query", hint=f"The types are {_types()}.")
    if not _queriers(kind) & call.logon.account.roles:
        raise AccessDenied(f"{call.logon.account.name} may not query {kind.type}")
    if isinstance(kind, Part):
        found = _parts(call, kind)
        listed = {kind.plural: kind.list_shape.made(found.items)}
        return _result(found.paging, Resources=_resources().made(**listed))
    found = find(call, kind)
    if call.form is Form.REFERENCE:
        return _result(found.paging, Refs=_REFS.made(found.items))
    shown = {kind.slot: _slot(kind).made(found.items)}
    return _result(found.paging, Entities=_entities().made(**shown))


def _known(call: Call) -> dict[str, type[Entity] | Part]:
    """What can be queried, by lower-case name."""
    tasks_here = Part(_TASK, TASKS.name, EVERYONE, _TASK_FIELDS, tasks.listing(call.logon), _task, TASK)
    kinds: list[type[Entity] | Part] = [*_queried(), *parts(), tasks_here]
    return {kind.type.lower(): kind for kind in kinds}


def _queriers(kind: type[Entity] | Part) -> frozenset[Role]:
    return kind.roles if isinstance(kind, Part) else kind.queriers or kind.roles


def _task(row: Row, base: str) -> Resource:
    return document(base, row)


def _result(paging: Resource | None, **part: Resource | Collection) -> Answer:
    return Answer(200, _shape().made(PagingInfo=paging, **part))


@cache
def _shape() -> Shape:
    """The result's shape. Only one of its parts is there."""
    return Shape(
        "QueryResult",
        members=(
            Child("Refs", _REFS, required=False),
            Child("Entities", _entities(), required=False),
            Child("Resources", _resources(), required=False),
            Child("PagingInfo", PAGING, required=False),
        ),
        nulls=_PARTS,
        type="QueryResultType",
    )


@cache
def _entities() -> Shape:
    by_slot = {kind.slot: kind for kind in _queried()}
    members = (Child(slot, _slot(by_slot[slot]), required=False) for slot in _SLOTS if slot in by_slot)
    return Shape("Entities", members=tuple(members), nulls=_SLOTS)


@cache
def _resources() -> Shape:
    lists = [*(kind.list_shape for kind in parts()), TASKS]
    return Shape("Resources", members=tuple(Child(each.name, each, required=False) for each in lists))


def _slot(kind: type[Entity]) -> Listed:
    return Listed(kind.slot, (kind.shape,), key=kind.plural, type=f"{kind.type}EntityListType", paging=True)


def _parts(call: Call, kind: Part) -> Found:
    text = call.request.parameter("filter")
    where = None if text is None else query.parse(text, kind.fields, kind.type)
    order = order_of(call.request, kind.fields, kind.type)
    page = page_of(call.request)
    everything = Visibility.everything()
    with call.engine.database.read() as connection:
        rows = kind.rows.page(
            connection,
            where=where,
            order=order,
            limit=page.size if page else None,
            offset=page.offset if page else 0,
            visible=everything,
        )
        total = kind.rows.count(connection, where=where, visible=everything)
    shown = iter([kind.shown(row, call.base) for row in rows])
    return Found(shown, paging_info(call.request, page, total) if page else None)


def _service(call: Call) -> Answer:
    """Links to the queries that the caller may make."""
    known = sorted(_known(call).values(), key=lambda kind: kind.type)
    allowed = [kind.type for kind in known if _queriers(kind) & call.logon.account.roles]
    links = [Link("Down", f"{call.base}/query?type={name}", None, name) for name in allowed]
    href = f"{call.base}/querySvc"
    return Answer(200, _SERVICE.made(links, Href=href))


def _types() -> str:
    names = [kind.type for kind in _queried()] + [kind.type for kind in parts()]
    return ", ".join(sorted([*names, _TASK]))


def _queried() -> list[type[Entity]]:
    return [kind for kind in entities() if kind.queried]


def routes() -> Iterator[Route]:
    """The routes of the service, whose answers hold every entity that is declared."""
    yield Route("GET", "/querySvc", READERS, _service, gives=(Gives(200, _SERVICE),))
    types = one_of(*sorted([*(kind.type for kind in _queried()), *(kind.type for kind in parts()), _TASK]))
    yield Route(
        "GET",
        "/query",
        READERS,
        _query,
        gives=(Gives(200, _shape()),),
        parameters=(
            Parameter("type", "Of what.", types, required=True),
            FORMAT,
            Parameter("filter", 'Conditions such as Name=="db-1", joined by ; (and) or , (or).'),
            Parameter("sortAsc", "Fields to sort by, with commas between."),
            Parameter("sortDesc", "Fields to sort by, the largest first."),
            *PARAMETERS,
        ),
    )
