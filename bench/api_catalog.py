"""A catalog of many restore sessions and restore points, for the benchmark of the API to read.

python -m bench.api_catalog URL: begins and ends ten restore sessions a second in a filled catalog, until it is told to
stop.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import accounts, hosts, jobs, logons, points, repositories, restore_sessions
from restorium.catalog import backups as backup_rows
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.new_points import NewVmPoint
from restorium.catalog.tables import restore_sessions as sessions_table
from restorium.catalog.tables import vm_restore_points
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState

_BATCH = 5000
_RESULTS = (SessionResult.SUCCESS, SessionResult.SUCCESS, SessionResult.WARNING, SessionResult.FAILED)


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled catalog: a logon's token and the id of one restore session."""

    url: str
    token: str
    session: UUID


def fill(url: str, sessions: int, vm_points: int) -> Filled:
    """Make a catalog with so many restore sessions and VM restore points in the empty database at ``url``."""
    database = Database.open(url, SystemClock())
    chance = random.Random(sessions)
    with database.write() as connection:
        account = accounts.add(
            connection, "bench", "bench", roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True
        )
        token = logons.open(connection, account.id)
        host = hosts.add(
            connection, name="lab", kind="image-folder", address="/srv", platform=Platform.VMWARE
        )
        repository = repositories.add(
            connection, name="local", url="file:///srv", kind="local", secret=b"sealed"
        )
        vm = JobVm(host.id, "web", "web")
        job = jobs.add(
            connection, name="nightly", repository_id=repository.id, platform=Platform.VMWARE, vms=[vm]
        )
        backup = backup_rows.ensure(connection, job.id)
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        points.record(
            connection,
            restore_point_id=UUID(int=1),
            backup_id=backup.id,
            name="point",
            created_at=moment,
            vms=[_point(host.id)],
        )
        first = connection.execute(sa.select(vm_restore_points)).one()
        rest = [
            dict(first._mapping) | {"id": UUID(int=chance.getrandbits(128)), "created_at": moment}
            for _ in range(vm_points - 1)
        ]
        for start in range(0, len(rest), _BATCH):
            _insert(connection, vm_restore_points, rest[start : start + _BATCH])
        sample = restore_sessions.create(
            connection, point=first, spec=RestoreSpec(first.id), caller=Caller("bench")
        )
        for start in range(0, sessions - 1, _BATCH):
            rows = [
                _session(dict(sample._mapping), chance, moment + timedelta(minutes=number))
                for number in range(start, min(start + _BATCH, sessions - 1))
            ]
            _insert(connection, sessions_table, rows)
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
    database.close()
    return Filled(url, str(token), rows[len(rows) // 2]["id"])


def _insert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Many rows a statement, which only one that gives something back has: triggers cost as much as the rows."""
    connection.execute(sa.insert(table).returning(table.c.id), rows)


def _session(sample: dict[str, object], chance: random.Random, at: datetime) -> dict[str, object]:
    return sample | {
        "id": UUID(int=chance.getrandbits(128)),
        "name": f"web@{at:%Y-%m-%d %H:%M:%S}",
        "created_at": at,
        "ended_at": at + timedelta(minutes=5),
        "state": SessionState.STOPPED,
        "result": chance.choice(_RESULTS),
        "progress": 100,
        "phase": RestorePhase.DONE,
        "restored_ref": "web",
    }


def _point(host_id: UUID) -> NewVmPoint:
    return NewVmPoint(
        host_id=host_id,
        vm_ref="web",
        vm_name="web",
        algorithm=Algorithm.FULL,
        point_type=PointType.FULL,
        vault_point="point",
        file_name="web.vbk",
        file_path="points/point",
        file_type=BackupFileType.VBK,
        backup_size=1000,
        data_size=4000,
        deduplication_ratio=100,
        compress_ratio=400,
    )


def keep_writing(url: str) -> None:
    """A restore session begins and ends every tenth of a second."""
    database = Database.open(url, SystemClock())
    with database.read() as connection:
        point = connection.execute(sa.select(vm_restore_points).limit(1)).one()
    while True:
        with database.write() as connection:
            session = restore_sessions.create(
                connection, point=point, spec=RestoreSpec(point.id), caller=Caller("bench")
            )
        with database.write() as connection:
            restore_sessions.advance(
                connection, session.id, SessionState.STOPPED, result=SessionResult.FAILED, reason="bench"
            )
        time.sleep(0.1)


if __name__ == "__main__":
    keep_writing(sys.argv[1])
