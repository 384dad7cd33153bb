"""Restore points: recorded whole or not at all, once, and listed with their parents."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from restorium.catalog import backups, hosts, jobs, points, repositories, servers, tables
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Compare, Row, Visibility
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.errors import Conflict, InvalidFilter, InvalidInput, NotFound
from restorium.vocabulary.hierarchy import HierarchyRef, Platform
from tests.support.clock import START
from tests.support.estate import add_host, add_job, add_repository, record_point, vm_point

EVERYTHING = Visibility.everything()
FIRST, SECOND = UUID(int=1), UUID(int=2)


@pytest.fixture
def vms(database: Database) -> list[JobVm]:
    """Two VMs of one host; the reference of one holds dots, quotes and wildcards."""
    with database.write() as connection:
        host = add_host(connection)
    return [JobVm(host.id, "vm-1", "db7"), JobVm(host.id, "odd.'%_ä", "web")]


@pytest.fixture
def job(database: Database, vms: list[JobVm]) -> Row:
    with database.write() as connection:
        return add_job(connection, vms)


def test_a_point_is_listed_with_all_its_parents(database: Database, job: Row, vms: list[JobVm]) -> None:
    with database.write() as connection:
        found = record_point(connection, job, vms, FIRST, START)
        backup = backups.ensure(connection, job.id)
        server = servers.get(connection)
        host = hosts.get(connection, vms[0].host_id)
        repository = repositories.get(connection, job.repository_id)
    row = found[0]
    assert [each.vm_name for each in found] == ["db7", "web"]
    assert row.name == "db7@2031-02-03 04:05:06"
    assert (row.restore_point_id, row.restore_point_name) == (FIRST, "nightly@04:05:06")
    assert (row.backup_id, row.backup_name) == (backup.id, "nightly")
    assert (row.job_id, row.job_name) == (job.id, "nightly")
    assert (row.host_id, row.host_name, row.platform) == (host.id, "rack-1", Platform.VMWARE)
    assert (row.backup_server_id, row.backup_server_name) == (server.id, server.name)
    assert (row.algorithm, row.point_type) == (Algorithm.INCREMENTAL, PointType.FULL)
    assert row.hierarchy_ref == f"urn:VMware:Vm:{host.id}.vm-1"
    assert row.backup_file_name == "db7.vbk"
    with database.read() as connection:
        file = points.file_listing.one(connection, row.backup_file_id, EVERYTHING)
        point = points.restore_listing.one(connection, FIRST, EVERYTHING)
        kept = backups.listing.one(connection, backup.id, EVERYTHING)
    assert file is not None
    assert point is not None
    assert kept is not None
    assert (file.backup_size, file.data_size, file.file_type) == (1000, 4000, BackupFileType.VBK)
    assert (file.backup_id, file.backup_name, file.repository_name) == (backup.id, "nightly", repository.name)
    assert (file.restore_point_id, file.restore_point_name) == (FIRST, point.name)
    assert (point.backup_id, point.backup_name, point.backup_server_id) == (backup.id, "nightly", server.id)
    assert (kept.job_name, kept.repository_id, kept.platform) == ("nightly", repository.id, Platform.VMWARE)


def test_a_vm_is_found_by_its_hierarchy_reference(database: Database, job: Row, vms: list[JobVm]) -> None:
    with database.write() as connection:
        record_point(connection, job, vms, FIRST, START)
        record_point(connection, job, vms[:1], SECOND, START + timedelta(days=1))

    def count(op: str, text: str) -> int:
        where = Compare("hierarchy_ref", op, text)  # type: ignore[arg-type]
        with database.read() as connection:
            return points.vm_listing.count(connection, where=where, visible=EVERYTHING)

    host = vms[0].host_id
    assert count("==", str(HierarchyRef(Platform.VMWARE, "Vm", host, "vm-1"))) == 2
    assert count("==", f"urn:vmware:vm:{str(host).upper()}.vm-1") == 2
    assert count("!=", f"urn:VMware:Vm:{host}.vm-1") == 1
    assert count("==", f"urn:VMware:Vm:{host}.odd.'%_ä") == 1
    assert count("==", f"urn:VMware:Vm:{host}.odd") == 0
    assert count("==", f"urn:HyperV:Vm:{host}.vm-1") == 0
    assert count("==", f"urn:VMware:Datastore:{host}.vm-1") == 0
    assert count("==", "db7") == 0
    assert count("!=", "db7") == 3
    with pytest.raises(InvalidFilter, match="hierarchy_ref"):
        count("<", f"urn:VMware:Vm:{host}.vm-1")


def test_recording_twice_records_once(database: Database, job: Row, vms: list[JobVm]) -> None:
    with database.write() as connection:
        first = record_point(connection, job, vms, FIRST, START)
    with database.write() as connection:
        backup = backups.ensure(connection, job.id)
        assert not points.record(
            connection,
            restore_point_id=FIRST,
            backup_id=backup.id,
            name="again",
            created_at=START,
            vms=[vm_point(vms[0])],
        )
        assert backups.listing.count(connection, visible=EVERYTHING) == 1
        assert (
            list(points.vm_listing.page(connection, order=[("vm_name", False)], visible=EVERYTHING)) == first
        )


def test_a_point_that_cannot_be_recorded_whole_leaves_nothing(
    database: Database, job: Row, vms: list[JobVm]
) -> None:
    nowhere = JobVm(UUID(int=404), "vm-1", "lost")
    with pytest.raises(IntegrityError), database.write() as connection:
        record_point(connection, job, [vms[0], nowhere], FIRST, START)
    with database.read() as connection:
        for table in (tables.restore_points, tables.backup_files, tables.vm_restore_points):
            assert connection.execute(sa.select(table)).all() == []


def test_a_point_of_no_backup_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match=str(UUID(int=404))), database.write() as connection:
        points.record(
            connection,
            restore_point_id=FIRST,
            backup_id=UUID(int=404),
            name="x",
            created_at=START,
            vms=[],
        )


def test_the_latest_point_of_a_vm_is_what_the_next_builds_on(
    database: Database, job: Row, vms: list[JobVm]
) -> None:
    with database.write() as connection:
        backup = backups.ensure(connection, job.id)
        assert points.latest(connection, backup.id, vms[0].host_id, "vm-1") is None
        record_point(connection, job, vms, SECOND, START + timedelta(hours=1))
        record_point(connection, job, vms[1:], FIRST, START + timedelta(hours=2))
        latest = points.latest(connection, backup.id, vms[0].host_id, "vm-1")
        assert latest is not None
        assert latest.restore_point_id == SECOND
        assert [row.vm_name for row in points.of_restore_point(connection, SECOND)] == ["db7", "web"]


def test_removing_a_job_keeps_its_backups(database: Database, job: Row, vms: list[JobVm]) -> None:
    with database.write() as connection:
        record_point(connection, job, vms, FIRST, START)
        jobs.remove(connection, job.id)
        assert jobs.objects(connection, job.id) == []
        row = points.vm_listing.page(connection, order=[("job_name", True)], visible=EVERYTHING)[0]
        assert (row.job_id, row.job_name, row.backup_name) == (None, None, "nightly")
        where = Compare("job_name", "==", None)
        assert points.restore_listing.count(connection, where=where, visible=EVERYTHING) == 1
        where = Compare("job_name", "!=", "nightly")
        assert points.file_listing.count(connection, where=where, visible=EVERYTHING) == 2


def test_what_is_in_use_cannot_be_removed(database: Database, job: Row, vms: list[JobVm]) -> None:
    with database.write() as connection:
        record_point(connection, job, vms, FIRST, START)
        with pytest.raises(Conflict, match="host 'rack-1'"):
            hosts.remove(connection, vms[0].host_id)
        with pytest.raises(Conflict, match="repository of nightly"):
            repositories.remove(connection, job.repository_id)
        unused = add_repository(connection, "unused")
        repositories.remove(connection, unused.id)
        with pytest.raises(NotFound, match=str(unused.id)):
            repositories.remove(connection, unused.id)


def test_names_are_taken_once(database: Database, job: Row) -> None:
    with database.write() as connection:
        for add in (
            lambda: add_host(connection, "rack-1"),
            lambda: add_repository(connection, "repository of nightly"),
            lambda: jobs.add(
                connection, name="nightly", repository_id=job.repository_id, platform=Platform.VMWARE, vms=[]
            ),
        ):
            with pytest.raises(Conflict, match="exists already"):
                add()
        with pytest.raises(InvalidInput, match="host"):
            add_host(connection, " ")
        assert [row.name for row in hosts.list_all(connection)] == ["rack-1"]


def test_a_host_is_a_hierarchy_root_and_a_managed_server(database: Database) -> None:
    with database.write() as connection:
        host = add_host(connection)
        root = hosts.listing.one(connection, host.id, EVERYTHING)
        server = hosts.managed_listing.one(connection, host.managed_server_id, EVERYTHING)
        assert hosts.listing.one(connection, host.managed_server_id, EVERYTHING) is None
    assert root is not None
    assert server is not None
    assert host.id != host.managed_server_id
    assert (root.name, server.name, server.host_id) == ("rack-1", "rack-1", host.id)


def test_a_repository_shows_its_space_and_never_its_key(database: Database) -> None:
    with database.write() as connection:
        repository = add_repository(connection)
        assert (repository.capacity_bytes, repository.free_bytes) == (-1, -1)
        repositories.record_usage(connection, repository.id, capacity_bytes=2**41, free_bytes=2**40)
        row = repositories.listing.one(connection, repository.id, EVERYTHING)
        assert repositories.get(connection, repository.id).secret == b"sealed"
    assert row is not None
    assert (row.capacity_bytes, row.free_bytes) == (2**41, 2**40)
    assert "secret" not in row._mapping
