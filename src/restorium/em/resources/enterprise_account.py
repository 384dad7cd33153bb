"""Accounts, making and removing them, and the security settings as a whole.

The interface was made for accounts of a directory, which brings the password along. Accounts here are the server's
own: one that is made through the interface has no password, and nobody can log on as it until one is set.
"""

from __future__ import annotations

from restorium.catalog import accounts, security
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, Values, boolean, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Link
from restorium.em.entity import Entity
from restorium.em.members import Alternate, Do, Down, element
from restorium.em.resources import account_parts as parts
from restorium.em.roles import ADMINISTRATORS
from restorium.em.routing import Route
from restorium.em.shapes import NOTHING, Gives, Shape, addressed
from restorium.em.tasks import STARTED, Started
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported

_BODY = Spec(
    "EnterpriseAccountCreateSpec",
    (
        Field("AccountType", text),
        Field("AccountName", text),
        Field("Roles", Spec("Roles", (Field("EnterpriseRole", parts.ROLE, many="EnterpriseRoles"),))),
        Field("AllowRestoreAllVms", boolean),
        Field("HierarchyScopeObjects", parts.SCOPES),
        Field(
            "FlrSettings",
            Spec("FlrSettings", (Field("FlrInplaceOnly", boolean), Field("FlrExtentionRestrictions", text))),
        ),
        Field("SqlSettings", Spec("SqlSettings", (Field("DenyInPlaceRestore", boolean),))),
    ),
)
_REBUILD = Spec(
    "RebuildScopeJobSpec",
    tuple(
        Field(name, Spec(name, ())) for name in ("RebuildAll", "RebuildUnprocessed", "RebuildForCurrentUser")
    ),
    one_of=True,
)
_SETTINGS = Shape("EnterpriseSecuritySettings", addressed("EnterpriseSecuritySettings"), links=True)
_USER = "User"
_SECURITY = "/security"


def _create(call: Call) -> Answer:
    asked = call.body or {}
    for required in ("AccountName", "Roles"):
        if required not in asked:
            raise InvalidInput(f"{required} is missing in {_BODY.name}")
    _refuse_unserved(asked)
    roles = [parts.role_of(each) for each in asked["Roles"].get("EnterpriseRole", [])]
    with call.engine.database.write() as connection:
        made = accounts.add(
            connection,
            asked["AccountName"],
            None,
            roles=roles,
            restore_all=asked.get("AllowRestoreAllVms", False),
        )
        accounts.allow(
            connection, made.id, parts.scopes_of(connection, asked.get("HierarchyScopeObjects", {}))
        )
        row = EnterpriseAccount.rows.one(connection, made.id, call.visible)
        if row is None:
            raise NotFound(f"there is no account {made.id}")
        shown = EnterpriseAccount.shown(row, View(call.base, connection))
    return Answer(201, shown, {"Location": EnterpriseAccount.href(call.base, made.id)})


def _refuse_unserved(asked: Values) -> None:
    kind = asked.get("AccountType", _USER)
    if kind.lower() != _USER.lower():
        raise Unsupported(
            f"AccountType {kind} is not offered", hint="Accounts are of this server: write User."
        )
    for part, members in asked.items():
        if part in ("FlrSettings", "SqlSettings") and any(members.values()):
            raise Unsupported(f"restrictions by {part} are not offered", hint=f"Leave {part} out.")


def _delete(call: Call, account: Row) -> Answer:
    with call.engine.database.write() as connection:
        accounts.remove(connection, account.id)
    return Answer(204)


def _toggle(call: Call, account: Row) -> Answer:
    with call.engine.database.write() as connection:
        accounts.toggle_restore_all(connection, account.id)
    return Answer(204)


def _settings(call: Call) -> Answer:
    href = f"{call.base}{_SECURITY}"
    links = [
        Link("Down", f"{href}/accounts", None, "EnterpriseAccountReferenceList"),
        Link("Down", f"{href}/roles", None, "EnterpriseRoleReferenceList"),
        Link("Create", f"{href}/accounts"),
        Link("Start", f"{href}/accounts?action=rebuildScope"),
    ]
    return Answer(200, _SETTINGS.made(links, Href=href))


def _rebuild(call: Call) -> Answer:
    """Nothing is left to do: scopes are looked at in each statement that reads."""
    _ = call.body  # nothing in it changes what is done, but it has to be one
    return tasks.run(
        call, "StartRebuildScope", lambda: Started(None, None, None, "Restore scopes are up to date")
    )


class EnterpriseAccount(
    Entity, plural="EnterpriseAccounts", path="security/accounts", slot="EnterpiseAccounts", queried=False
):
    """Who may log on, as what, and what of the VMs it may see and restore."""

    roles = ADMINISTRATORS
    rows = security.account_listing
    links = (
        Alternate(),
        Down(
            "roles",
            None,
            type="EnterpriseAccountInRoleList",
            serve=parts.show_roles,
            gives=(Gives(200, parts.IN_ROLES),),
        ),
        Do(
            "Create",
            "POST",
            path="/roles",
            type="EnterpriseAccountInRole",
            roles=ADMINISTRATORS,
            run=parts.add_role,
            gives=(Gives(201, parts.IN_ROLE),),
            body=parts.ROLE,
        ),
        Down(
            "scopes",
            None,
            type="EnterpriseAccountHierarchyScopeList",
            serve=parts.show_scopes,
            gives=(Gives(200, parts.IN_SCOPES),),
        ),
        Do(
            "Create",
            "POST",
            path="/scopes",
            type="EnterpriseAccountHierarchyScope",
            roles=ADMINISTRATORS,
            run=parts.add_scopes,
            gives=STARTED,
            body=parts.SCOPES,
        ),
        Do("Delete", "DELETE", roles=ADMINISTRATORS, run=_delete, gives=NOTHING),
        Do("ToggleRestoreScopesEnabled", "POST", roles=ADMINISTRATORS, run=_toggle, gives=NOTHING),
    )

    account_type: str = element("AccountType", value=lambda _row, _view: _USER)
    restore_all: bool = element("AllowRestoreAllVms")


ROUTES = (
    Route("GET", _SECURITY, ADMINISTRATORS, _settings, gives=(Gives(200, _SETTINGS),)),
    Route(
        "POST",
        f"{_SECURITY}/accounts",
        ADMINISTRATORS,
        _create,
        gives=(Gives(201, EnterpriseAccount.shape),),
        body=_BODY,
    ),
    Route(
        "POST",
        f"{_SECURITY}/accounts",
        ADMINISTRATORS,
        _rebuild,
        "rebuildScope",
        gives=STARTED,
        body=_REBUILD,
    ),
)
