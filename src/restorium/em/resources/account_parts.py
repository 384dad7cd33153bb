"""What an account holds: roles, and restore scopes. Both have one document, whatever the format asked for.

A scope is a VM (``urn:VMware:Vm:<root>.<ref>``) or a whole host (``urn:VMware:Host:<root>.<ref>``).
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import accounts, hosts, security
from restorium.catalog.accounts import Scope
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, Values, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Link, Resource
from restorium.em.entity import entity
from restorium.em.reading import row_of
from restorium.em.roles import ADMINISTRATORS
from restorium.em.routing import Handler, Route
from restorium.em.shapes import NOTHING, Child, Gives, Listed, Shape, addressed
from restorium.em.tasks import Started
from restorium.em.values import TEXT, enumeration, one_of
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from restorium.vocabulary.hierarchy import HierarchyRef, Platform
from restorium.vocabulary.ids import parse_guid, parse_uid
from restorium.vocabulary.roles import Role

_ACCOUNT = "EnterpriseAccount"
_IN_ROLE = "EnterpriseAccountInRole"
_SCOPE = "EnterpriseAccountHierarchyScope"

IN_ROLE = Shape(_IN_ROLE, addressed(_IN_ROLE), (Child("RoleName", enumeration(Role)),), links=True)
IN_ROLES = Listed("EnterpriseAccountInRoleList", (IN_ROLE,))
IN_SCOPE = Shape(
    _SCOPE,
    addressed(_SCOPE),
    (
        Child("Name", TEXT),
        Child("HierarchyRootName", TEXT),
        Child("Platform", enumeration(Platform)),
        Child("HierarchyObjectType", one_of("Vm", "Host")),
        Child("State", one_of("Processed")),
    ),
    links=True,
)
IN_SCOPES = Listed(f"{_SCOPE}s", (IN_SCOPE,), type=f"{_SCOPE}ListType")


def _role(written: str) -> Role:
    role = security.ROLES.get(parse_uid(written.strip(), "EnterpriseRole"))
    if role is None:
        raise NotFound(f"there is no role {written.strip()}", hint="GET /api/security/roles lists them.")
    return role


def _reference(written: str) -> Scope:
    reference = HierarchyRef.parse(written.strip())
    if reference.kind not in ("Vm", "Host"):
        raise Unsupported(f"{reference} is a {reference.kind}", hint="A scope is a Vm or a whole Host.")
    return Scope(reference.root, reference.ref if reference.kind == "Vm" else "")


ROLE = Spec("EnterpriseAccountInRoleCreateSpec", (Field("EnterpriseRoleUid", _role),))
SCOPES = Spec(
    "HierarchyScopeCreateSpec",
    (
        Field(
            "HierarchyScopeItem",
            Spec("HierarchyScopeItem", (Field("HierarchyObjRef", _reference), Field("ObjectName", text))),
            many="HierarchyScopeItems",
        ),
    ),
)


def role_of(asked: Values) -> Role:
    """The role that a ``ROLE`` names. Raises InvalidInput."""
    if "EnterpriseRoleUid" not in asked:
        raise InvalidInput(f"EnterpriseRoleUid is missing in {ROLE.name}")
    role: Role = asked["EnterpriseRoleUid"]
    return role


def scopes_of(connection: Connection, asked: Values) -> list[Scope]:
    """The scopes that ``SCOPES`` names. Raises InvalidInput, also for a host that there is not."""
    named = []
    for item in asked.get("HierarchyScopeItem", []):
        scope: Scope | None = item.get("HierarchyObjRef")
        if scope is None:
            raise InvalidInput("HierarchyObjRef is missing in HierarchyScopeItem")
        try:
            hosts.get(connection, scope.host_id)
        except NotFound as error:
            raise InvalidInput(f"HierarchyObjRef: {error.message}", hint=error.hint) from None
        named.append(scope)
    return named


def show_roles(call: Call, view: View, account: Row) -> Answer:
    """The roles of an account."""
    held = accounts.get(view.connection, account.id).roles
    shown = [_shown_role(call, account.id, role) for role in Role if role in held]
    return Answer(200, IN_ROLES.made(shown))


def show_scopes(call: Call, view: View, account: Row) -> Answer:
    """The restore scopes of an account."""
    shown = [_shown_scope(call, account.id, row) for row in security.scopes(view.connection, account.id)]
    return Answer(200, IN_SCOPES.made(shown))


def add_role(call: Call, account: Row) -> Answer:
    """Give an account a role more."""
    role = role_of(call.body or {})
    with call.engine.database.write() as connection:
        accounts.give_role(connection, account.id, role)
    shown = _shown_role(call, account.id, role)
    return Answer(201, shown, {"Location": str(dict(shown.attributes)["Href"])})


def add_scopes(call: Call, account: Row) -> Answer:
    """Let an account see and restore more. The task is related to the account."""
    asked = call.body or {}
    with call.engine.database.read() as connection:
        wanted = scopes_of(connection, asked)
    if not wanted:
        raise InvalidInput(f"{SCOPES.name} names nothing", hint="Send a HierarchyScopeItem at least.")

    def start() -> Started:
        with call.engine.database.write() as connection:
            accounts.allow(connection, account.id, wanted)
        return Started(_ACCOUNT, account.id, account.name, "The restore scope has been extended")

    return tasks.run(call, "StartRebuildScope", start)


def _one_role(call: Call, connection: Connection, account_id: UUID) -> Answer:
    role = _held(call, connection, account_id)
    return Answer(200, _shown_role(call, account_id, role))


def _remove_role(call: Call, connection: Connection, account_id: UUID) -> Answer:
    accounts.take_role(connection, account_id, _held(call, connection, account_id))
    return Answer(204)


def _one_scope(call: Call, connection: Connection, account_id: UUID) -> Answer:
    return Answer(200, _shown_scope(call, account_id, _scope(call, connection, account_id)))


def _remove_scope(call: Call, connection: Connection, account_id: UUID) -> Answer:
    gone = _scope(call, connection, account_id)
    accounts.disallow(connection, account_id, Scope(gone.host_id, gone.vm_ref))
    return Answer(204)


def _held(call: Call, connection: Connection, account_id: UUID) -> Role:
    role = security.ROLES.get(parse_guid(call.ids[1]))
    if role is None or role not in accounts.get(connection, account_id).roles:
        raise NotFound(f"account {account_id} has no role {call.ids[1]}")
    return role


def _scope(call: Call, connection: Connection, account_id: UUID) -> Row:
    wanted = parse_guid(call.ids[1])
    for row in security.scopes(connection, account_id):
        if security.scope_id(account_id, Scope(row.host_id, row.vm_ref)) == wanted:
            return row
    raise NotFound(f"account {account_id} has no scope {wanted}")


def _shown_role(call: Call, account_id: UUID, role: Role) -> Resource:
    href = f"{entity(_ACCOUNT).href(call.base, account_id)}/roles/{security.role_id(role)}"
    return IN_ROLE.made([Link("Delete", href, None, _IN_ROLE)], Href=href, RoleName=role)


def _shown_scope(call: Call, account_id: UUID, row: Row) -> Resource:
    key = security.scope_id(account_id, Scope(row.host_id, row.vm_ref))
    href = f"{entity(_ACCOUNT).href(call.base, account_id)}/scopes/{key}"
    return IN_SCOPE.made(
        [Link("Delete", href, None, _SCOPE)],
        Href=href,
        Name=(row.vm_name or row.vm_ref) if row.vm_ref else row.host_name,
        HierarchyRootName=row.host_name,
        Platform=row.platform,
        HierarchyObjectType="Vm" if row.vm_ref else "Host",
    )


def _below(act: Callable[[Call, Connection, UUID], Answer], *, write: bool = False) -> Handler:
    """What is done with one part of the account that the path names, in one transaction."""

    def serve(call: Call) -> Answer:
        database = call.engine.database
        with database.write() if write else database.read() as connection:
            account_id: UUID = row_of(call, entity(_ACCOUNT), connection).id
            return act(call, connection, account_id)

    return serve


ROUTES = tuple(
    Route(
        method,
        f"/security/accounts/{{ID}}/{part}/{{ID}}",
        ADMINISTRATORS,
        _below(act, write=method == "DELETE"),
        gives=gives,
    )
    for method, part, act, gives in (
        ("GET", "roles", _one_role, (Gives(200, IN_ROLE),)),
        ("DELETE", "roles", _remove_role, NOTHING),
        ("GET", "scopes", _one_scope, (Gives(200, IN_SCOPE),)),
        ("DELETE", "scopes", _remove_scope, NOTHING),
    )
)
