"""The root, logging on and off, and who a request comes from.

The token of a logon session is the base64 of its SessionId's text: clients compute one from the other, so the id is
as secret as the token and no session is ever shown to another.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import logons
from restorium.catalog.accounts import Account
from restorium.em.call import Answer, Call, Request
from restorium.em.documents import Link, Resource
from restorium.em.entity import entities
from restorium.em.roles import EVERYONE
from restorium.em.routing import OpenRoute, Parameter, Route, Router
from restorium.em.shapes import NOTHING, Child, Gives, Listed, Shape, addressed
from restorium.em.values import GUID, TEXT
from restorium.flows import logons as flows
from restorium.flows import mounts
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import InvalidIdentifier, InvalidInput, NotAuthenticated, NotFound
from restorium.vocabulary.ids import parse_guid

_LOG_ON = "/sessionMngr"
HEADER = "X-RestSvcSessionId"
_VERSIONS = ("v1_5", "v1_6", "v1_7")
_ACCEPTED = re.compile(r"latest|v1(_[0-7])?", re.IGNORECASE)
_HINT = "Log on with POST /api/sessionMngr/?v=latest and HTTP Basic authentication."
_FIRST = [
    "backupServers",
    "managedServers",
    "jobs",
    "failoverPlans",
    "hierarchyRoots",
    "repositories",
    "backups",
    "restorePoints",
    "vmRestorePoints",
    "vAppRestorePoints",
    "replicas",
    "vmReplicaPoints",
    "catalog/vms",
    "backupSessions",
    "restoreSessions",
    "replicaSessions",
    "backupTaskSessions",
    "replicaTaskSessions",
]
_LAST = [
    "cdpPolicies",
    "cdpReplicaSessions",
    "cdpReplicaTaskSessions",
    "vAppReplicaPoints",
    "cdpReplica/vms",
    "cdpReplica/vApps",
    "systemSessions",
]
_REFERENCES = (
    *_FIRST,
    *("security", "wanAccelerators", "backupFiles", "externalRepositories"),
    *_LAST,
    *("tasks", "querySvc", "lookupSvc", "reports/summary"),
)
"""What a logon session links to, in the order of recorded answers: lists of references, and what has one document."""
_ENTITIES = (
    *_FIRST,
    *("wanAccelerators", "vCloud", "backupFiles", "agents", "selfService/vSphere", "externalRepositories"),
    *("nas", *_LAST, "cloud"),
)
"""The lists once more as entities, among them the groups of resources."""
_SINGLE = {
    "security": "EnterpriseSecuritySettings",
    "tasks": "TaskList",
    "querySvc": "QueryService",
    "lookupSvc": "LookupService",
    "reports/summary": "Report",
    "vCloud": "VCloudService",
    "agents": "AgentsService",
    "selfService/vSphere": "VSphereSelfService",
    "nas": "NasService",
    "cloud": "CloudConnectService",
}
"""Types of what has one document only."""
_NAMES = {"reports/summary": "Summary"}

_VERSION = Shape("SupportedVersion", (Child("Name", TEXT),), links=True)
_SUPPORTED = Listed("SupportedVersions", (_VERSION,), type="SupportedVersionListType")
_ROOT = Shape(
    "EnterpriseManager", (), (Child("SupportedVersions", _SUPPORTED),), links=True, nulls=("Href", "Type")
)
_SESSION = Shape(
    "LogonSession",
    addressed("LogonSession"),
    (Child("UserName", TEXT), Child("SessionId", GUID)),
    links=True,
)
_SESSIONS = Listed("LogonSessions", (_SESSION,), type="LogonSessionListType")
_ASKED = Parameter("v", "The version of the interface: ``latest``, or ``v1`` to ``v1_7``.")


@dataclass(frozen=True, slots=True)
class LoggedOn:
    """Who a request comes from, and by which token."""

    token: UUID
    logon: logons.Logon


def root(request: Request) -> Answer:
    """What the server is, for anybody."""
    versions = [_VERSION.made([_create(request, version)], Name=version) for version in _VERSIONS]
    links = [
        Link("Down", f"{request.base}/logonSessions", None, "LogonSessionList"),
        _create(request, "latest"),
    ]
    return Answer(200, _ROOT.made(links, SupportedVersions=_SUPPORTED.made(versions)))


def log_on(engine: Engine, router: Router, request: Request) -> Answer:
    """A logon session for a name and a password. The body says nothing that is needed. Raises NotAuthenticated."""
    version = request.parameter("v")
    if version is not None and not _ACCEPTED.fullmatch(version):
        raise InvalidInput(f"v={version} is no version of the interface", hint="Write v=latest.")
    name, password = _credentials(request)
    token, account = flows.log_on(
        engine, name, password, address=request.address, operation=f"em POST {_LOG_ON}"
    )
    secret = base64.b64encode(str(token).encode()).decode()
    secure = "; Secure" if request.base.startswith("https:") else ""
    headers = {HEADER: secret, "Set-Cookie": f"{HEADER}={secret}; Path=/api; HttpOnly{secure}"}
    return Answer(201, _session(request, router, token, account), headers)


def authenticate(connection: Connection, request: Request, idle: timedelta) -> LoggedOn:
    """Who sends the request, by cookie or header; the cookie wins. Whoever serves it has to ``touch`` a logon that is
    due. Raises NotAuthenticated.
    """
    given = _cookie(request) or request.headers.get(HEADER.lower())
    if given is None:
        raise NotAuthenticated("the request carries no session", hint=_HINT)
    try:
        token = parse_guid(base64.b64decode(given, validate=True).decode("ascii"))
    except (ValueError, InvalidIdentifier):
        raise NotAuthenticated("the session is not one of this server", hint=_HINT) from None
    logon = logons.find(connection, token, idle)
    if logon is None:
        raise NotAuthenticated("the session is unknown or has idled for too long", hint=_HINT)
    return LoggedOn(token, logon)


def touch(engine: Engine, logon: logons.Logon) -> None:
    """Note that a logon session is in use."""
    with engine.database.write() as connection:
        logons.touch(connection, logon)


def add_routes(engine: Engine, router: Router) -> None:
    """The root, and the routes of logon sessions. Nobody sees any but the own one."""

    def list_sessions(call: Call) -> Answer:
        own = _session(call.request, router, call.token, call.logon.account)
        return Answer(200, _SESSIONS.made([own]))

    def one(call: Call) -> Answer:
        _own(call)
        return Answer(200, _session(call.request, router, call.token, call.logon.account))

    def log_off(call: Call) -> Answer:
        _own(call)
        return _end(call)

    router.open(
        OpenRoute("GET", "/", root, (Gives(200, _ROOT),)),
        OpenRoute("POST", _LOG_ON, partial(log_on, engine, router), (Gives(201, _SESSION),), (_ASKED,)),
    )
    router.add(
        [
            Route("GET", "/logonSessions", EVERYONE, list_sessions, gives=(Gives(200, _SESSIONS),)),
            Route("GET", "/logonSessions/{ID}", EVERYONE, one, gives=(Gives(200, _SESSION),)),
            Route("DELETE", "/logonSessions/{ID}", EVERYONE, log_off, gives=NOTHING, secret_ids=True),
            Route("DELETE", "/sessionMngr", EVERYONE, _end, gives=NOTHING),
        ]
    )


def _end(call: Call) -> Answer:
    with call.engine.database.write() as connection:
        logons.close(connection, call.token)
    mounts.end_forsaken(call.engine)
    return Answer(204)


def _own(call: Call) -> None:
    if call.id != call.token:
        raise NotFound(f"there is no logon session {call.id}")


def _session(request: Request, router: Router, token: UUID, account: Account) -> Resource:
    href = f"{request.base}/logonSessions/{token}"
    links = [Link("Up", f"{request.base}/", None, "EnterpriseManager")]
    named = {kind.path: kind.type for kind in entities()}
    for paths, suffix, form in ((_REFERENCES, "ReferenceList", ""), (_ENTITIES, "List", "?format=Entity")):
        for path in paths:
            if path not in _SINGLE and path not in named:
                continue
            if _may(router, account, "GET", path):
                kind = _SINGLE.get(path) or f"{named[path]}{suffix}"
                at = path if path in _SINGLE else path + form
                links.append(Link("Down", f"{request.base}/{at}", _NAMES.get(path), kind))
            if path == "managedServers" and form and _may(router, account, "POST", "backupServers", "create"):
                links.append(Link("Create", f"{request.base}/backupServers?action=create"))
    links.append(Link("Delete", href))
    return _SESSION.made(links, Href=href, UserName=account.name, SessionId=token)


def _may(router: Router, account: Account, method: str, path: str, action: str | None = None) -> bool:
    place = router.find(path.split("/"))
    route = None if place is None else place.routes.get(method, {}).get(action)
    return route is not None and bool(route.roles & account.roles)


def _create(request: Request, version: str) -> Link:
    return Link("Create", f"{request.base}/sessionMngr/?v={version}", None, "LogonSession")


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise NotAuthenticated("the request carries no name and password", hint=_HINT)
    try:
        content = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        raise NotAuthenticated("the Authorization header is not base64", hint=_HINT) from None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # what RFC 7617's predecessors left to each client
    name, _, password = text.partition(":")
    return name, password


def _cookie(request: Request) -> str | None:
    """The session's cookie. Others may be malformed: those of whatever else the client's host serves come too."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == HEADER:
            return value.strip('"')
    return None
