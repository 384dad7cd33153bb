"""Credentials and encryption passwords of the backup server. What is secret in them is in no document."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import stored_secrets
from restorium.catalog.listing import Listing, Order, Row, Visibility
from restorium.em.bodies import Field, Spec, Values, text
from restorium.em.call import Answer, Call, View
from restorium.em.documents import Link, Resource
from restorium.em.entity import entity
from restorium.em.members import field
from restorium.em.parts import part
from restorium.em.reading import row_of
from restorium.em.roles import ADMINISTRATORS, MONITORS
from restorium.em.routing import Route
from restorium.em.shapes import NOTHING, Child, Gives, Listed, Shape, addressed
from restorium.em.values import GUID, INSTANT, TEXT, uid
from restorium.flows import stored_secrets as flows
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from restorium.vocabulary.ids import parse_guid

_CREDENTIALS, _PASSWORD = "CredentialsInfo", "PasswordKeyInfo"
_SERVER = "BackupServer"


CREDENTIALS = Shape(
    _CREDENTIALS,
    addressed(_CREDENTIALS),
    (Child("Id", GUID), Child("Username", TEXT), Child("Description", TEXT)),
    links=True,
    nulls=("Password",),
)
CREDENTIALS_LIST = Listed("CredentialsInfoList", (CREDENTIALS,), type="CredentialsListType")
PASSWORD = Shape(
    _PASSWORD,
    addressed(_PASSWORD),
    (Child("Id", GUID), Child("Hint", TEXT), Child("LastModificationDate", INSTANT)),
    links=True,
)
PASSWORDS = Listed("PasswordKeyInfoList", (PASSWORD,), type="PasswordsListType")


def _kept(value: str) -> str | None:
    """Text as it is, blanks and all; None if it is empty."""
    return value or None


NEW_CREDENTIALS = Spec(
    "CredentialsInfoSpec", (Field("Username", text), Field("Description", str), Field("Password", _kept))
)
_CHANGED_CREDENTIALS = Spec(
    _CREDENTIALS,
    (Field("Links", None), Field("Id", None), *NEW_CREDENTIALS.fields),
    attributes=(Field("Href", None), Field("Type", None)),
    type="CredentialsInfoChangeType",
)
PASSWORD_BODY = Spec("PasswordKeyInfoSpec", (Field("Hint", str), Field("Password", _kept)))


def credentials_listed(call: Call, view: View, _server: Row) -> Answer:
    """The credentials by user name."""
    return _listed(call, view, stored_secrets.credentials_listing, [("username", False)], shown_credentials)


def passwords_listed(call: Call, view: View, _server: Row) -> Answer:
    """The passwords by hint."""
    return _listed(call, view, stored_secrets.password_listing, [("hint", False)], shown_password)


def add_credentials(call: Call, _server: Row) -> Answer:
    """Keep credentials."""
    asked = _asked(call, NEW_CREDENTIALS)
    _require(asked, NEW_CREDENTIALS, "Username", "Password")
    made = flows.add_credentials(
        call.engine, asked["Username"], asked.get("Description", ""), asked["Password"]
    )
    return _made(call, stored_secrets.credentials_listing, made, shown_credentials)


def add_password(call: Call, _server: Row) -> Answer:
    """Keep a password."""
    asked = _asked(call, PASSWORD_BODY)
    _require(asked, PASSWORD_BODY, "Password")
    made = flows.add_password(call.engine, asked.get("Hint", ""), asked["Password"])
    return _made(call, stored_secrets.password_listing, made, shown_password)


def shown_credentials(row: Row, base: str) -> Resource:
    """The document of credentials."""
    href, links = _linked(row, base, _CREDENTIALS, "credentials")
    return CREDENTIALS.made(links, Href=href, Id=row.id, Username=row.username, Description=row.description)


def shown_password(row: Row, base: str) -> Resource:
    """The document of a password."""
    href, links = _linked(row, base, _PASSWORD, "passwords")
    return PASSWORD.made(links, Href=href, Id=row.id, Hint=row.hint, LastModificationDate=row.modified_at)


def _linked(row: Row, base: str, name: str, path: str) -> tuple[str, list[Link]]:
    above = entity(_SERVER).href(base, row.backup_server_id)
    href = f"{above}/{path}/{row.id}"
    return href, [
        Link("Up", above, row.backup_server_name, f"{_SERVER}Reference"),
        Link("Edit", href, None, name),
        Link("Delete", href, None, name),
    ]


_Shown = Callable[[Row, str], Resource]


def _listed(call: Call, view: View, rows: Listing, order: Order, shown: _Shown) -> Answer:
    found = rows.page(view.connection, order=order, visible=Visibility.everything())
    shape = CREDENTIALS_LIST if shown is shown_credentials else PASSWORDS
    return Answer(200, shape.made([shown(row, call.base) for row in found]))


def _made(call: Call, rows: Listing, made: UUID, shown: _Shown) -> Answer:
    with call.engine.database.read() as connection:
        row = rows.one(connection, made, Visibility.everything())
    if row is None:
        raise NotFound(f"{made} is gone already")
    document = shown(row, call.base)
    return Answer(201, document, {"Location": str(dict(document.attributes)["Href"])})


def _asked(call: Call, spec: Spec) -> Values:
    if call.body is None:
        raise InvalidInput("the body is missing", hint=f"Send a {spec.name}.")
    return call.body


def _require(asked: Values, spec: Spec, *names: str) -> None:
    for name in names:
        if name not in asked:
            raise InvalidInput(f"{name} is missing in {spec.name}")


def _one(rows: Listing, shown: _Shown) -> Callable[[Call], Answer]:
    def serve(call: Call) -> Answer:
        with call.engine.database.read() as connection:
            row = rows.one(connection, _key(call, connection), Visibility.everything())
        if row is None:
            raise NotFound(f"there is no {call.request.path}")
        return Answer(200, shown(row, call.base))

    return serve


def _change_credentials(call: Call) -> Answer:
    key = _key(call)
    asked = _asked(call, _CHANGED_CREDENTIALS)
    flows.change_credentials(
        call.engine,
        key,
        username=asked.get("Username"),
        description=asked.get("Description"),
        password=asked.get("Password"),
    )
    return Answer(204)


def _change_password(call: Call) -> Answer:
    key = _key(call)
    asked = _asked(call, PASSWORD_BODY)
    if "Password" in asked:
        raise Unsupported(
            "a password that backups may be encrypted with is not changed",
            hint="Leave Password out to change the Hint, or keep the new password as another one.",
        )
    _require(asked, PASSWORD_BODY, "Hint")
    with call.engine.database.write() as connection:
        stored_secrets.change_hint(connection, key, asked["Hint"])
    return Answer(204)


def _remove(remove: Callable[[Connection, UUID], None]) -> Callable[[Call], Answer]:
    def serve(call: Call) -> Answer:
        key = _key(call)
        with call.engine.database.write() as connection:
            remove(connection, key)
        return Answer(204)

    return serve


def _key(call: Call, connection: Connection | None = None) -> UUID:
    """The id of the part, below a backup server that there is."""
    if connection is not None:
        row_of(call, entity(_SERVER), connection)
    else:
        with call.engine.database.read() as opened:
            row_of(call, entity(_SERVER), opened)
    return parse_guid(call.ids[1])


_OF_SERVER = (
    field("BackupServerUid", "backup_server_id", uid(_SERVER)),
    field("BackupServerName", "backup_server_name", TEXT),
)
part(
    "Credentials",
    "CredentialsInfoList",
    roles=MONITORS,
    fields=(
        field("CredentialsId", "text_id", TEXT),
        field("Username", "username", TEXT),
        field("Description", "description", TEXT),
        *_OF_SERVER,
    ),
    rows=stored_secrets.credentials_listing,
    shown=shown_credentials,
    shape=CREDENTIALS,
)
part(
    "Passwords",
    "PasswordKeyInfoList",
    roles=MONITORS,
    fields=(field("PasswordKeyID", "text_id", TEXT), field("Hint", "hint", TEXT), *_OF_SERVER),
    rows=stored_secrets.password_listing,
    shown=shown_password,
    shape=PASSWORD,
)

_ONE_CREDENTIALS = "/backupServers/{ID}/credentials/{ID}"
_ONE_PASSWORD = "/backupServers/{ID}/passwords/{ID}"  # noqa: S105  a path
ROUTES = (
    Route(
        "GET",
        _ONE_CREDENTIALS,
        MONITORS,
        _one(stored_secrets.credentials_listing, shown_credentials),
        gives=(Gives(200, CREDENTIALS),),
    ),
    Route(
        "PUT",
        _ONE_CREDENTIALS,
        ADMINISTRATORS,
        _change_credentials,
        gives=NOTHING,
        body=_CHANGED_CREDENTIALS,
    ),
    Route(
        "DELETE",
        _ONE_CREDENTIALS,
        ADMINISTRATORS,
        _remove(stored_secrets.remove_credentials),
        gives=NOTHING,
    ),
    Route(
        "GET",
        _ONE_PASSWORD,
        MONITORS,
        _one(stored_secrets.password_listing, shown_password),
        gives=(Gives(200, PASSWORD),),
    ),
    Route("PUT", _ONE_PASSWORD, ADMINISTRATORS, _change_password, gives=NOTHING, body=PASSWORD_BODY),
    Route("DELETE", _ONE_PASSWORD, ADMINISTRATORS, _remove(stored_secrets.remove_password), gives=NOTHING),
)
