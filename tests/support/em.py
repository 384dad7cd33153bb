"""A client of the Enterprise Manager face that needs no socket, and an estate in which every kind of thing is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
import sqlalchemy as sa
from lxml import etree
from starlette.types import ASGIApp, Message

from restorium.catalog import (
    accounts,
    backups,
    job_sessions,
    jobs,
    points,
    repositories,
    restore_sessions,
    tables,
)
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Compare, Row, Visibility
from restorium.em import app as em
from restorium.flows import restore
from restorium.flows.engine import Engine
from restorium.settings import Settings
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, vm_point

NAMESPACE = "http://www.veeam.com/ent/v1.0"
HEADER = "X-RestSvcSessionId"
JSON = {"Accept": "application/json"}
PASSWORD = "a password"
FACTS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "facts" / "em.json").read_text())


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` are as they were sent, ``parts`` the pieces in which the body came."""

    status: int
    headers: Sequence[tuple[str, str]]
    parts: Sequence[bytes]
    app: ASGIApp

    @cached_property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    @cached_property
    def json(self) -> Any:
        assert self.header("Content-Type") == "application/json", self.text
        return json.loads(self.body)

    @cached_property
    def xml(self) -> etree._Element:
        assert self.header("Content-Type") == "application/xml; charset=utf-8", self.text
        """The document, which has to be as the server's own schema says."""
        read = etree.fromstring(self.body)
        _schema_of(self.app).assertValid(read)
        return read

    @property
    def message(self) -> str:
        """Of an Error document, in either format."""
        if self.header("Content-Type") == "application/json":
            found = self.json
            return str(found.get("Message", found.get("message")))
        assert tag(self.xml) == "Error", self.text
        return str(self.xml.get("Message"))


_compiled: list[etree.XMLSchema] = []
"""The schema, which is the same whichever server it comes from: compiling it takes long."""


def _schema_of(app: ASGIApp) -> etree.XMLSchema:
    if not _compiled:
        answer = EmClient(app).get("/schema.xsd")
        assert answer.status == 200, answer.text
        _compiled.append(etree.XMLSchema(etree.fromstring(answer.body)))
    return _compiled[0]


def tag(element: etree._Element) -> str:
    """An element's name; it must be in the interface's namespace."""
    name = etree.QName(element)
    assert name.namespace == NAMESPACE, element.tag
    return name.localname


def children(element: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in element if tag(child) == name]


def attributes(element: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in element.attrib.items()}


def links(element: etree._Element) -> list[dict[str, str]]:
    """The attributes of an element's own links."""
    return [attributes(link) for found in children(element, "Links") for link in found]


def shapes(element: etree._Element) -> Iterator[tuple[str, frozenset[str], tuple[str, ...]]]:
    """Of an element and all below it: name, attributes, and the order of its children."""
    yield tag(element), frozenset(map(str, element.attrib)), tuple(tag(child) for child in element)
    for child in element:
        yield from shapes(child)


class EmClient:
    """Sends requests to an application in this process; ``token`` goes with each once logged on."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1:9398", address: str = "127.0.0.1") -> None:
        self._app = app
        self.host = host
        self.address = address
        self.token: str | None = None

    @property
    def base(self) -> str:
        return f"https://{self.host}/api"

    def log_on(self, name: str, password: str = PASSWORD) -> EmClient:
        answer = self.post("/sessionMngr/?v=latest", headers={"Authorization": basic(name, password)})
        assert answer.status == 201, answer.text
        self.token = answer.header(HEADER)
        return self

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers)

    def post(
        self, path: str, body: bytes | Sequence[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        return self.request("POST", path, headers, body)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("DELETE", path, headers)

    def follow(self, href: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET what a link leads to."""
        assert href.startswith(self.base), href
        return self.get(href.removeprefix(self.base), headers)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | Sequence[bytes] = b"",
        *,
        prefix: str = "/api",
        scheme: str = "https",
    ) -> Answer:
        """``path`` is below /api, with the query, both as on the wire. A header that is None is not sent.

        A body in pieces arrives in pieces, as one of unknown length does.
        """
        sent: dict[str, str | None] = {"Host": self.host}
        if self.token is not None:
            sent[HEADER] = self.token
        if isinstance(body, bytes) and body:
            sent["Content-Length"] = str(len(body))
        sent |= headers or {}
        raw = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in sent.items()
            if value is not None
        ]
        before, _, query = (prefix + path).partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": unquote(before),
            "raw_path": before.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": raw,
            "client": (self.address, 1),
            "server": ("127.0.0.1", 9398),
        }
        return asyncio.run(_exchange(self._app, scope, [body] if isinstance(body, bytes) else body))


async def _exchange(app: ASGIApp, scope: dict[str, Any], body: Sequence[bytes]) -> Answer:
    waiting = list(body) or [b""]
    said: list[Message] = []

    async def receive() -> Message:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    start, *parts = said
    assert start["type"] == "http.response.start"
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], headers, [part.get("body", b"") for part in parts], app)


def basic(name: str, password: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@dataclass
class Site:
    """A face over a catalog, without flows. ``ids`` are those of one thing of each kind, by type."""

    database: Database
    engine: Engine
    app: ASGIApp
    ids: dict[str, UUID] = field(default_factory=dict)
    vms: list[JobVm] = field(default_factory=list)

    def client(self, name: str = "administrator", **options: str) -> EmClient:
        """A client that is logged on."""
        return EmClient(self.app, **options).log_on(name)

    def anonymous(self, **options: str) -> EmClient:
        return EmClient(self.app, **options)

    def add_account(
        self, name: str, roles: Iterable[Role], scopes: Iterable[accounts.Scope] | None = None
    ) -> UUID:
        """An account; without ``scopes`` it may see all."""
        with self.database.write() as connection:
            account = accounts.add(
                connection, name, PASSWORD, roles=frozenset(roles), restore_all=scopes is None
            )
            if scopes is not None:
                accounts.set_scopes(connection, account.id, scopes)
        return account.id


@contextmanager
def site(database: Database, folder: Path, clock: ManualClock, **settings: Any) -> Iterator[Site]:
    """A face with one account, ``administrator``."""
    engine = Engine(Settings(data=folder / "data", **settings), database, clock)
    made = Site(database, engine, em.create(engine))
    made.add_account("administrator", [Role.PORTAL_ADMINISTRATOR])
    yield made


@contextmanager
def standing_site(request: pytest.FixtureRequest, kind: str, **settings: Any) -> Iterator[Site]:
    """A populated face for all tests of a module: on a database of its own, with a clock of its own."""
    folder = request.getfixturevalue("tmp_path_factory").mktemp(f"em-{kind}")
    clock = ManualClock()
    with ExitStack() as stack:
        if kind == "sqlite":
            path = folder / "restorium.db"
            path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
            url = f"sqlite:///{path}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres").database())
        database = Database.open(url, clock)
        stack.callback(database.close)
        yield populate(stack.enter_context(site(database, folder, clock, **settings)), clock)


def populate(site: Site, clock: ManualClock) -> Site:
    """Two of each kind, of different names, sizes and times, one of them finished with all that it can have."""
    with site.database.write() as connection:
        for number, name in enumerate(("east", "west")):
            clock.advance(3600.25)
            host = add_host(connection, name)
            vms = [JobVm(host.id, f"vm-{each}", f"{name} {each} & <co>") for each in (1, 2)]
            repository = repositories.add(
                connection,
                name=f"store {name}",
                url="file:///srv/repository",
                kind="local",
                secret=b"sealed",
                capacity_bytes=10**12 + number,
                free_bytes=10**11 + number,
            )
            job = jobs.add(
                connection,
                name=f"job {name}",
                repository_id=repository.id,
                platform=Platform.VMWARE,
                vms=vms,
                description=f"of {name}",
            )
            connection.execute(
                sa.update(tables.jobs)
                .where(tables.jobs.c.id == job.id)
                .values(next_run=START + timedelta(days=1 + number), schedule_configured=not number)
            )
            session = job_sessions.create(connection, job.id, Caller("administrator"))
            site.ids |= {
                "HierarchyRoot": host.id,
                "ManagedServer": host.managed_server_id,
                "BackupServer": UUID(int=0),
                "Repository": repository.id,
                "Job": job.id,
                "BackupJobSession": session.id,
                "Backup": backups.ensure(connection, job.id).id,
                "RestorePoint": session.id,
            }
            site.vms += vms
            _finish(site, connection, clock, job, vms, number)
        server = connection.execute(sa.select(tables.backup_servers)).one()
        site.ids["BackupServer"] = server.id
    return site


def _finish(
    site: Site, connection: sa.Connection, clock: ManualClock, job: Row, vms: list[JobVm], number: int
) -> None:
    session_id, at = site.ids["BackupJobSession"], clock.now()
    vapp = (f"vapp-{number}", f"shop {number}")
    wanted = [replace(vm_point(vm, vm.vm_ref), vapp=vapp) for vm in vms]
    wanted[1] = replace(
        wanted[1],
        point_type=PointType.INCREMENT,
        algorithm=Algorithm.FULL,
        file_type=BackupFileType.VIB,
        backup_size=2**40 + number,
        data_size=2**41 + number,
        compress_ratio=215 + number,
    )
    points.record(
        connection,
        restore_point_id=session_id,
        backup_id=site.ids["Backup"],
        name=f"{job.name}@{at:%H:%M:%S}",
        created_at=at,
        vms=wanted,
    )
    job_sessions.advance(connection, session_id, SessionState.WORKING)
    for place, task in enumerate(job_sessions.tasks(connection, session_id)):
        job_sessions.start_task(connection, task.id, total_bytes=2**33 + place)
        clock.advance(1.5)
        result = (SessionResult.WARNING, SessionResult.SUCCESS)[place]
        job_sessions.end_task(connection, task.id, result, reason=f"reason {place}")
        site.ids["BackupTaskSession"] = task.id
    job_sessions.advance(
        connection,
        session_id,
        SessionState.STOPPED,
        result=(SessionResult.SUCCESS, SessionResult.WARNING)[number],
        restore_point_id=session_id,
    )
    found = points.vm_listing.page(
        connection,
        where=Compare("restore_point_id", "==", session_id),
        order=[("vm_name", False)],
        visible=Visibility.everything(),
    )
    site.ids |= {
        "VmRestorePoint": found[0].id,
        "VAppRestorePoint": found[0].vapp_restore_point_id,
        "BackupFile": found[0].backup_file_id,
    }
    for point in found:
        clock.advance(1)
        asked = RestoreSpec(point.id, keep_original=True)
        begun = restore_sessions.create(connection, point=point, spec=asked, caller=Caller("administrator"))
        site.ids["RestoreSession"] = begun.id
    end_restore(connection, site.ids["RestoreSession"])


def end_restore(connection: sa.Connection, session_id: UUID) -> None:
    """Let a restore run to its good end."""
    restore_sessions.advance(connection, session_id, SessionState.WORKING)
    restore_sessions.enter_phase(connection, session_id, RestorePhase.COPYING, restored_ref="vm-1 (restored)")
    restore_sessions.advance(connection, session_id, SessionState.STOPPED, result=SessionResult.SUCCESS)


@dataclass
class Recorded:
    """What the flow of restores was asked for, in place of doing it."""

    specs: list[RestoreSpec] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)


def record_restores(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Restores are sessions in the catalog that nobody carries out."""
    recorded = Recorded()

    def start(
        engine: Engine, spec: RestoreSpec, caller: Caller, *, idempotency_key: str | None = None
    ) -> UUID:
        recorded.specs.append(spec)
        recorded.callers.append(caller)
        with engine.database.write() as connection:
            point = points.vm_listing.one(connection, spec.vm_restore_point_id, Visibility.everything())
            assert point is not None
            created = restore_sessions.create(
                connection, point=point, spec=spec, caller=caller, idempotency_key=idempotency_key
            )
        made: UUID = created.id
        return made

    monkeypatch.setattr(restore, "start", start)
    return recorded


def allowed(role: str, method: str, path: str) -> bool | None:
    """Whether the interface's list of roles lets that role call it; None where the list is silent.

    Its lists open all that is of vApp restore points to those who may not restore VMs either, such as Portal Users;
    here a vApp may be restored by those who may restore its VMs.
    """
    if role == Role.PORTAL_ADMINISTRATOR:
        return True
    if method == "POST" and path.startswith("/vAppRestorePoints/") and path.endswith("?action=restore"):
        return role == Role.VM_RESTORE_OPERATOR
    facts = FACTS["roles"][role]
    if any(_matches(pattern, method, path) for pattern in facts["deny"]):
        return False
    return True if any(_matches(pattern, method, path) for pattern in facts["allow"]) else None


def _matches(pattern: str, method: str, path: str) -> bool:
    if pattern.endswith(" (all)"):
        start = pattern.removesuffix(" (all)")
        return path == start or path.startswith((f"{start}/", f"{start}?"))
    return pattern == f"{method} {path}"
