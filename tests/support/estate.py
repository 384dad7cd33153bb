"""A small estate for tests: hosts, a repository, a job, and restore points of its VMs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import backups, hosts, jobs, points, repositories
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Compare, Row, Visibility
from restorium.catalog.new_points import NewVmPoint
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.hierarchy import Platform


def add_host(connection: Connection, name: str = "rack-1") -> Row:
    return hosts.add(
        connection, name=name, kind="image-folder", address=f"/srv/{name}", platform=Platform.VMWARE
    )


def add_repository(connection: Connection, name: str = "main") -> Row:
    return repositories.add(
        connection, name=name, url="file:///srv/repository", kind="local", secret=b"sealed"
    )


def add_job(connection: Connection, vms: list[JobVm], name: str = "nightly") -> Row:
    """A job on a repository of its own."""
    repository = add_repository(connection, f"repository of {name}")
    return jobs.add(connection, name=name, repository_id=repository.id, platform=Platform.VMWARE, vms=vms)


def vm_point(vm: JobVm, vault_point: str = "manifest-1") -> NewVmPoint:
    return NewVmPoint(
        host_id=vm.host_id,
        vm_ref=vm.vm_ref,
        vm_name=vm.vm_name,
        algorithm=Algorithm.INCREMENTAL,
        point_type=PointType.FULL,
        vault_point=vault_point,
        file_name=f"{vm.vm_name}.vbk",
        file_path=f"points/{vault_point}",
        file_type=BackupFileType.VBK,
        backup_size=1000,
        data_size=4000,
        deduplication_ratio=100,
        compress_ratio=400,
    )


def record_point(
    connection: Connection, job: Row, vms: list[JobVm], point_id: UUID, created_at: datetime
) -> list[Row]:
    """A restore point of these VMs; gives the rows of its VM restore points."""
    backup = backups.ensure(connection, job.id)
    points.record(
        connection,
        restore_point_id=point_id,
        backup_id=backup.id,
        name=f"{job.name}@{created_at:%H:%M:%S}",
        created_at=created_at,
        vms=[vm_point(vm, f"{vm.vm_ref}-{created_at:%H%M%S}") for vm in vms],
    )
    return list(
        points.vm_listing.page(
            connection,
            where=Compare("restore_point_id", "==", point_id),
            order=[("vm_name", False)],
            visible=Visibility.everything(),
        )
    )
