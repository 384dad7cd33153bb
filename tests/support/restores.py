"""Restore sessions that only a catalog knows, for tests of what is shown of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from restorium.catalog import restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START
from tests.support.estate import add_host, add_job, record_point


class Restores:
    """Restores of VMs of one host, each with a restore point."""

    def __init__(self, database: Database, vms: list[str]) -> None:
        self.database = database
        with database.write() as connection:
            host = add_host(connection)
            members = [JobVm(host.id, f"ref-{name}", name) for name in vms]
            points = record_point(connection, add_job(connection, members), members, UUID(int=9), START)
        self.points: dict[str, Row] = {point.vm_name: point for point in points}

    def start(self, vm: str, by: str = "jo", state: SessionState = SessionState.WORKING) -> UUID:
        point = self.points[vm]
        with self.database.write() as connection:
            made = restore_sessions.create(
                connection, point=point, spec=RestoreSpec(point.id), caller=Caller(by, "192.0.2.7")
            )
            if state is not SessionState.STARTING:
                restore_sessions.advance(connection, made.id, state)
        session_id: UUID = made.id
        return session_id

    def stop(self, session_id: UUID, result: SessionResult = SessionResult.SUCCESS, **reason: Any) -> None:
        with self.database.write() as connection:
            restore_sessions.advance(connection, session_id, SessionState.STOPPED, result=result, **reason)

    def say(self, session_id: UUID, message: str = "said") -> None:
        with self.database.write() as connection:
            restore_sessions.add_event(connection, session_id, "info", message)
