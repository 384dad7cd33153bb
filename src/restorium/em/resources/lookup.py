"""Looking up a host's objects by name or reference: itself, its VMs and what those are in, as it lists them now."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from restorium.catalog import accounts, hosts
from restorium.catalog.accounts import Scope
from restorium.catalog.listing import Row
from restorium.em.call import Answer, Call
from restorium.em.documents import Link, Resource
from restorium.em.roles import MONITORS
from restorium.em.routing import Parameter, Route
from restorium.em.shapes import Child, Gives, Listed, Shape, addressed
from restorium.em.values import TEXT, one_of
from restorium.flows import inventory
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.hierarchy import HierarchyRef, HostType, Platform
from restorium.vocabulary.ids import parse_uid

_ROOT = "HierarchyRoot"
_ANY = "*"
_ITEM = Shape(
    "HierarchyItem",
    (Child("Type", one_of("HierarchyItem")),),
    tuple(Child(name, TEXT) for name in ("ObjectRef", "ObjectType", "ObjectName")),
)
_ITEMS = Listed("HierarchyItems", (_ITEM,), type="HierarchyItemListType")
_SERVICE = Shape("LookupSvc", addressed("LookupService"), links=True)


def _lookup(call: Call) -> Answer:
    named, reference = call.request.parameter("host"), _reference(call)
    if reference is not None:
        root = reference.root
    elif named is not None:
        root = parse_uid(named.strip(), _ROOT)
    else:
        raise InvalidInput(
            "the look-up names no host", hint="Write host=urn:veeam:HierarchyRoot:<GUID> or hierarchyRef=."
        )
    with call.engine.database.read() as connection:
        host = hosts.get(connection, root)
    asked = _Asked(call, reference)
    items = [_item(ref, name) for ref, name in _objects(call, host) if asked.allows(ref, name)]
    return Answer(200, _ITEMS.made(items))


def _reference(call: Call) -> HierarchyRef | None:
    """The reference asked for; one public client leaves out an r of the parameter's name."""
    given = call.request.parameter("hierarchyRef") or call.request.parameter("hierachyRef")
    return None if given is None else HierarchyRef.parse(given.strip())


class _Asked:
    """What is looked for: a type, a name with ``*`` for any, a reference. What is not named does not matter."""

    def __init__(self, call: Call, reference: HierarchyRef | None) -> None:
        self._kind = (call.request.parameter("type") or "").lower()
        self._name = (call.request.parameter("name") or _ANY).casefold()
        self._reference = reference

    def allows(self, ref: HierarchyRef, name: str) -> bool:
        if self._kind and ref.kind.lower() != self._kind:
            return False
        if self._reference is not None and str(ref).lower() != str(self._reference).lower():
            return False
        return self._name in (_ANY, name.casefold())


def _objects(call: Call, host: Row) -> Iterator[tuple[HierarchyRef, str]]:
    """The host itself, what it has VMs in, then VMs, of which the caller sees those of its scope. Raises HostError."""
    root: UUID = host.id
    kind = str(HostType.CLOUD_DIRECTOR) if host.platform is Platform.VCLOUD else "Host"
    yield HierarchyRef(host.platform, kind, root, host.name), host.name
    seen = _scopes(call)
    if seen is None or Scope(root) in seen:
        for each in inventory.list_containers(call.engine, root):
            yield HierarchyRef(host.platform, each.kind, root, each.ref), each.name
    for vm in inventory.list_vms(call.engine, root):
        if seen is None or Scope(root) in seen or Scope(root, vm.ref) in seen:
            yield HierarchyRef(host.platform, "Vm", root, vm.ref), vm.name


def _scopes(call: Call) -> list[Scope] | None:
    """What the caller may see; None if everything."""
    account_id = call.visible.account_id
    if account_id is None:
        return None
    with call.engine.database.read() as connection:
        return accounts.scopes(connection, account_id)


def _item(ref: HierarchyRef, name: str) -> Resource:
    return _ITEM.made(ObjectRef=ref, ObjectType=ref.kind, ObjectName=name)


def _service(call: Call) -> Answer:
    with call.engine.database.read() as connection:
        roots = hosts.list_all(connection)
    links = [
        Link("Down", f"{call.base}/lookup?host=urn:veeam:{_ROOT}:{host.id}", host.name, "HierarchyItemList")
        for host in roots
    ]
    return Answer(200, _SERVICE.made(links, Href=f"{call.base}/lookupSvc"))


ROUTES = (
    Route(
        "GET",
        "/lookup",
        MONITORS,
        _lookup,
        gives=(Gives(200, _ITEMS),),
        parameters=(
            Parameter("host", f"The host to look in, as ``urn:veeam:{_ROOT}:<GUID>`` or its GUID."),
            Parameter("hierarchyRef", "The reference to look for; its host need not be named then."),
            Parameter(
                "type",
                "``Vm`` or ``Host``; of Cloud Director also ``OrgVdc``, ``Vapp`` and others.",
            ),
            Parameter("name", "The name to look for; ``*`` for any."),
        ),
    ),
    Route("GET", "/lookupSvc", MONITORS, _service, gives=(Gives(200, _SERVICE),)),
)
