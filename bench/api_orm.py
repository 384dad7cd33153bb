"""A restore session served by FastAPI, Pydantic and SQLAlchemy's ORM, for bench/api.py to compare with."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session, registry, relationship, sessionmaker

from restorium.catalog import tables
from restorium.catalog.engines import engines


class RestoreSession:
    pass


class VmRestorePoint:
    pass


class BackupServer:
    pass


class LogonSession:
    pass


class Account:
    pass


_mapping = registry()
_mapping.map_imperatively(VmRestorePoint, tables.vm_restore_points)
_mapping.map_imperatively(BackupServer, tables.backup_servers)
_mapping.map_imperatively(Account, tables.accounts)
_mapping.map_imperatively(
    RestoreSession,
    tables.restore_sessions,
    properties={"vm_restore_point": relationship(VmRestorePoint)},
)
_mapping.map_imperatively(LogonSession, tables.logon_sessions, properties={"account": relationship(Account)})


class Link(BaseModel):
    Rel: str
    Href: str
    Name: str | None
    Type: str | None


class Shown(BaseModel):
    JobType: str
    CreationTimeUTC: str
    EndTimeUTC: str | None
    State: str
    Result: str
    Progress: int
    Name: str
    UID: str
    VmDisplayName: str
    Links: list[Link]
    Href: str
    Type: str


def create(url: str) -> FastAPI:
    """The application, with the same path as the Enterprise Manager API."""
    app = FastAPI()
    make = sessionmaker(engines(url).reader)

    def database() -> Iterator[Session]:
        with make() as session:
            yield session

    def account(
        session: Annotated[Session, Depends(database)], x_restsvcsessionid: Annotated[str, Header()]
    ) -> Account:
        token = UUID(base64.b64decode(x_restsvcsessionid).decode())
        found = session.get(LogonSession, hashlib.sha256(token.bytes).digest())
        if found is None:
            raise HTTPException(401)
        return found.account  # type: ignore[no-any-return,attr-defined]

    @app.get("/api/restoreSessions/{key}")
    def one(
        key: UUID,
        request: Request,
        session: Annotated[Session, Depends(database)],
        _: Annotated[Account, Depends(account)],
    ) -> Shown:
        row = session.get(RestoreSession, key)
        server = session.scalars(sa.select(BackupServer)).one()
        if row is None:
            raise HTTPException(404)
        base = str(request.base_url) + "api"
        href = f"{base}/restoreSessions/{key}"
        point = row.vm_restore_point
        links = [
            Link(
                Rel="Up",
                Href=f"{base}/backupServers/{server.id}",
                Name=server.name,
                Type="BackupServerReference",
            ),
            Link(Rel="Alternate", Href=href, Name=row.name, Type="RestoreSessionReference"),
            Link(
                Rel="Related",
                Href=f"{base}/vmRestorePoints/{point.id}",
                Name=point.name,
                Type="VmRestorePointReference",
            ),
        ]
        return Shown(
            JobType=row.job_type,
            CreationTimeUTC=row.created_at.isoformat(),
            EndTimeUTC=None if row.ended_at is None else row.ended_at.isoformat(),
            State=row.state,
            Result=row.result,
            Progress=row.progress,
            Name=row.name,
            UID=f"urn:veeam:RestoreSession:{key}",
            VmDisplayName=row.vm_name,
            Links=links,
            Href=href + "?format=Entity",
            Type="RestoreSession",
        )

    return app
